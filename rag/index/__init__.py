"""Vector and keyword search over stored passages: caches of SQL that can be deleted and rebuilt."""
