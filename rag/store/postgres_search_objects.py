r"""The SQL of the schema ``rag_search``: both search legs of PostgreSQL, kept level with the passages by triggers.

Everything here is a cache of ``passages`` and ``passage_embeddings``, so it has no migration: it is made where
``search`` is ``postgres``, and dropping the schema takes all of it away, triggers included. Since triggers fill it,
what any program commits is found as soon as it is committed, and what it deletes is not found any more.

- ``vectors``: the vector of a passage in one generation (a collection under one embedding model), a pgvector halfvec.
- ``passages`` and ``postings``: the words of each passage, and the passages of each word: an inverted index whose rows
  hold all that BM25 needs. PostgreSQL's own parser and stemmer find the words. A GIN index over tsvectors would be
  smaller, but knows no frequencies: every passage that matches would have to be fetched and taken apart.
- ``collections``: number and length of the passages, counted up and down in the transaction that changes them. How
  many passages a word stands in is counted from its postings, which a search reads anyway; a counter for each word
  would be written some seventy times for each passage.

Words are found as in ``rag.index.keyword``: accents are taken off, whatever is no letter or digit divides, then English
stems, without a few stop words. Title and headings count as words of the passage.
"""

VERSION = "1"
"""Of the objects; those of another version are made anew."""

MIN_PGVECTOR = (0, 8)
"""The first one with ``hnsw.iterative_scan``."""

STOP_WORDS = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with"
)
"""The words that the keyword index of the embedded search leaves out; their stems are themselves."""

TABLES = (
    """
    CREATE TABLE rag_search.generations (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        collection_id bigint NOT NULL,
        embedding_model text NOT NULL,
        dimension integer NOT NULL,
        UNIQUE (collection_id, embedding_model)
    )
    """,
    """
    CREATE TABLE rag_search.vectors (
        passage_id bigint NOT NULL,
        generation_id bigint NOT NULL,
        document_id bigint NOT NULL,
        vector halfvec NOT NULL,
        PRIMARY KEY (passage_id, generation_id)
    )
    """,
    "CREATE INDEX vectors_generation_id_document_id ON rag_search.vectors (generation_id, document_id)",
    """
    CREATE TABLE rag_search.passages (
        passage_id bigint PRIMARY KEY,
        document_id bigint NOT NULL,
        collection_id bigint NOT NULL,
        num_words integer NOT NULL,
        words text[] COLLATE "C" NOT NULL
    )
    """,
    """
    CREATE TABLE rag_search.postings (
        collection_id bigint NOT NULL,
        word text COLLATE "C" NOT NULL,
        passage_id bigint NOT NULL,
        frequency smallint NOT NULL,
        num_words integer NOT NULL,
        PRIMARY KEY (collection_id, word, passage_id) INCLUDE (frequency, num_words)
    )
    """,
    """
    CREATE TABLE rag_search.collections (
        collection_id bigint PRIMARY KEY,
        num_passages bigint NOT NULL,
        num_words bigint NOT NULL
    )
    """,
)

WORDS = (
    # No stop words: PostgreSQL's own list takes out question words, too.
    "CREATE TEXT SEARCH DICTIONARY rag_search.stems (TEMPLATE = pg_catalog.snowball, Language = 'english')",
    "CREATE TEXT SEARCH CONFIGURATION rag_search.english (COPY = pg_catalog.english)",
    """
    ALTER TEXT SEARCH CONFIGURATION rag_search.english
    ALTER MAPPING FOR asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart
    WITH rag_search.stems
    """,
    # Accents become marks of their own (NFKD) and go. The ranges are punctuation and symbols: what is a letter would
    # otherwise depend on the locale of the database.
    r"""
    CREATE FUNCTION rag_search.plain(body text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN regexp_replace(
        regexp_replace(
            translate(
                replace(replace(replace(normalize(body, NFKD), 'ß', 'ss'), 'æ', 'ae'), 'Æ', 'AE'), 'øØłŁđĐ', 'oOlLdD'),
            '[\u0300-\u036F]+', '', 'g'),
        '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7'
        '\u2000-\u206F\u20A0-\u20CF\u2190-\u2BFF\u3000-\u3004\u3008-\u3020\u3030]+', ' ', 'g')
    """,
    f"""
    CREATE FUNCTION rag_search.words_of(body text) RETURNS TABLE (word text, frequency integer)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT lexeme, cardinality(positions)
        FROM unnest(to_tsvector('rag_search.english', rag_search.plain(body)))
        WHERE octet_length(lexeme) <= 64 AND lexeme <> ALL ('{{{STOP_WORDS.replace(" ", ",")}}}'::text[]);
    END
    """,  # noqa: S608 - a constant
    """
    CREATE FUNCTION rag_search.indexed_text(title text, headings json, body text) RETURNS text LANGUAGE sql STABLE
    RETURN (
        SELECT string_agg(part, ' ') FROM (
            SELECT replace(title, '_', ' ') AS part UNION SELECT value FROM json_array_elements_text(headings)
        ) AS parts
    ) || E'\\n' || body
    """,
)

VECTORS = (
    # pgvector reads no bytes: each float16 is put together from its bits.
    """
    CREATE FUNCTION rag_search.halfvec_of(stored bytea) RETURNS halfvec LANGUAGE plpgsql IMMUTABLE
    SET search_path FROM CURRENT AS $$
    DECLARE
        num_values CONSTANT integer := octet_length(stored) / 2;
        found float4[] := array_fill(0.0::float4, ARRAY[num_values]);
        bits integer;
    BEGIN
        FOR place IN 1 .. num_values LOOP
            bits := get_byte(stored, 2 * place - 2) + 256 * get_byte(stored, 2 * place - 1);
            found[place] := (1 - 2 * (bits >> 15)) * CASE (bits >> 10) & 31
                WHEN 0 THEN (bits & 1023) * 2.0::float8 ^ -24
                ELSE (1024 + (bits & 1023)) * 2.0::float8 ^ (((bits >> 10) & 31) - 25)
            END;
        END LOOP;
        RETURN found::halfvec;
    END $$
    """,
    """
    CREATE FUNCTION rag_search.add_vectors(ids bigint[], model text) RETURNS void LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
    BEGIN
        INSERT INTO rag_search.generations (collection_id, embedding_model, dimension)
        SELECT DISTINCT ON (d.collection_id) d.collection_id, model, octet_length(e.vector) / 2
        FROM passage_embeddings e JOIN passages p ON p.id = e.passage_id JOIN documents d ON d.id = p.document_id
        WHERE e.passage_id = ANY (ids) AND e.embedding_model = model AND NOT EXISTS (
            SELECT FROM rag_search.generations g WHERE g.collection_id = d.collection_id AND g.embedding_model = model)
        ON CONFLICT DO NOTHING;
        INSERT INTO rag_search.vectors (passage_id, generation_id, document_id, vector)
        SELECT p.id, g.id, p.document_id, rag_search.halfvec_of(e.vector)
        FROM passage_embeddings e JOIN passages p ON p.id = e.passage_id JOIN documents d ON d.id = p.document_id
        JOIN rag_search.generations g ON g.collection_id = d.collection_id AND g.embedding_model = e.embedding_model
        WHERE e.passage_id = ANY (ids) AND e.embedding_model = model
        ON CONFLICT (passage_id, generation_id) DO UPDATE SET vector = excluded.vector;
    END $$
    """,
)

KEYWORDS = (
    """
    CREATE FUNCTION rag_search.add_words(ids bigint[]) RETURNS void LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
    BEGIN
        WITH found AS MATERIALIZED (
            SELECT p.id AS passage_id, p.document_id, d.collection_id, w.word, w.frequency,
                coalesce(sum(w.frequency) OVER (PARTITION BY p.id), 0) AS num_words
            FROM passages p JOIN documents d ON d.id = p.document_id
            LEFT JOIN LATERAL rag_search.words_of(rag_search.indexed_text(d.title, p.headings, p.text)) w ON true
            WHERE p.id = ANY (ids)
        ), entered AS (
            INSERT INTO rag_search.passages (passage_id, document_id, collection_id, num_words, words)
            SELECT passage_id, document_id, collection_id, num_words,
                coalesce(array_agg(word) FILTER (WHERE word IS NOT NULL), '{}')
            FROM found GROUP BY passage_id, document_id, collection_id, num_words
            RETURNING collection_id, num_words
        ), posted AS (
            INSERT INTO rag_search.postings (collection_id, word, passage_id, frequency, num_words)
            SELECT collection_id, word, passage_id, frequency, num_words FROM found WHERE word IS NOT NULL
        )
        INSERT INTO rag_search.collections AS c (collection_id, num_passages, num_words)
        SELECT collection_id, count(*), sum(num_words) FROM entered GROUP BY collection_id
        ON CONFLICT (collection_id) DO UPDATE SET
            num_passages = c.num_passages + excluded.num_passages, num_words = c.num_words + excluded.num_words;
    END $$
    """,
    """
    CREATE FUNCTION rag_search.remove_words(ids bigint[]) RETURNS void LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    BEGIN
        WITH gone AS (
            DELETE FROM rag_search.passages WHERE passage_id = ANY (ids)
            RETURNING collection_id, passage_id, num_words, words
        ), unposted AS (
            DELETE FROM rag_search.postings t USING gone g, unnest(g.words) AS w(word)
            WHERE t.collection_id = g.collection_id AND t.word = w.word AND t.passage_id = g.passage_id
        )
        UPDATE rag_search.collections c
        SET num_passages = c.num_passages - s.num_passages, num_words = c.num_words - s.num_words
        FROM (
            SELECT collection_id, count(*) AS num_passages, sum(num_words) AS num_words FROM gone GROUP BY collection_id
        ) AS s
        WHERE c.collection_id = s.collection_id;
    END $$
    """,
)

SEARCH = (
    # Robertson and Zaragoza (2009) in the form and with the parameters of tantivy (k1 = 1.2, b = 0.75), so that both
    # kinds of search give the same scores.
    """
    CREATE FUNCTION rag_search.keyword_hits(collection bigint, query text)
    RETURNS TABLE (passage_id bigint, score double precision) LANGUAGE sql STABLE
    BEGIN ATOMIC
        WITH weighed AS MATERIALIZED (
            SELECT w.word, c.num_words::double precision / c.num_passages AS mean_words,
                ln(1 + (c.num_passages - n.num_passages + 0.5) / (n.num_passages + 0.5)) AS rarity
            FROM rag_search.words_of(query) w, rag_search.collections c, LATERAL (
                SELECT count(*)::double precision AS num_passages FROM rag_search.postings p
                WHERE p.collection_id = collection AND p.word = w.word
            ) n
            WHERE c.collection_id = collection AND c.num_words > 0
        )
        SELECT p.passage_id, sum(
            w.rarity * p.frequency * (1.2::double precision + 1)
            / (p.frequency + 1.2::double precision * (0.25 + 0.75 * p.num_words / w.mean_words)))
        FROM weighed w JOIN rag_search.postings p ON p.collection_id = collection AND p.word = w.word
        GROUP BY p.passage_id;
    END
    """,
)

TRIGGERS = (
    """
    CREATE FUNCTION rag_search.passages_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM rag_search.add_words(ARRAY(SELECT id FROM entered));
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION rag_search.passages_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM rag_search.remove_words(ARRAY(SELECT id FROM gone));
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION rag_search.title_updated() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    DECLARE
        ids CONSTANT bigint[] := ARRAY(SELECT id FROM passages WHERE document_id = NEW.id);
    BEGIN
        PERFORM rag_search.remove_words(ids);
        PERFORM rag_search.add_words(ids);
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION rag_search.embeddings_written() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM rag_search.add_vectors(array_agg(passage_id), embedding_model)
        FROM entered GROUP BY embedding_model ORDER BY embedding_model;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION rag_search.embeddings_deleted() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
    BEGIN
        DELETE FROM rag_search.vectors v USING gone, rag_search.generations g
        WHERE v.passage_id = gone.passage_id AND v.generation_id = g.id AND g.embedding_model = gone.embedding_model;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER rag_search_inserted AFTER INSERT ON passages REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION rag_search.passages_inserted()
    """,
    """
    CREATE TRIGGER rag_search_deleted AFTER DELETE ON passages REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rag_search.passages_deleted()
    """,
    """
    CREATE TRIGGER rag_search_updated AFTER UPDATE ON documents
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION rag_search.title_updated()
    """,
    """
    CREATE TRIGGER rag_search_inserted AFTER INSERT ON passage_embeddings REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION rag_search.embeddings_written()
    """,
    """
    CREATE TRIGGER rag_search_updated AFTER UPDATE ON passage_embeddings REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION rag_search.embeddings_written()
    """,
    """
    CREATE TRIGGER rag_search_deleted AFTER DELETE ON passage_embeddings REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rag_search.embeddings_deleted()
    """,
)

OBJECTS = (*TABLES, *WORDS, *VECTORS, *KEYWORDS, *SEARCH, *TRIGGERS)
"""Everything in the schema, in the order in which it can be made."""
