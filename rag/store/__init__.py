"""The SQL store, the only truth: tables, transactions and queries. The only user of SQLAlchemy."""
