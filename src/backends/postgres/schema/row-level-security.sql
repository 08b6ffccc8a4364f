-- Optional: walls between the stores of one database. Run it as the owner of the tables, once. Afterwards a role sees
-- and writes only the stores that sessiondir_tenant gives it, whatever its SQL says; the owner of the tables sees all.
--
--   CREATE ROLE gateway_a LOGIN PASSWORD '...';
--   INSERT INTO sessiondir_tenant VALUES ('gateway_a', 'store-a');
--   GRANT sessiondir_gateway TO gateway_a;
--
-- A role may create the rows of its own store, so nobody has to open the store for it first.

CREATE TABLE IF NOT EXISTS sessiondir_tenant (
  role name NOT NULL,
  store text COLLATE "C" NOT NULL,
  PRIMARY KEY (role, store)
);

DO $$
DECLARE
  table_name text;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'sessiondir_gateway') THEN
    CREATE ROLE sessiondir_gateway NOLOGIN;
  END IF;
  FOREACH table_name IN ARRAY ARRAY['sessiondir_store', 'sessiondir_lane', 'sessiondir_session', 'sessiondir_trash',
    'sessiondir_writer', 'sessiondir_lease']
  LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO sessiondir_gateway', table_name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('DROP POLICY IF EXISTS sessiondir_wall ON %I', table_name);
    -- The stores of a role are looked up once for a statement, not once for a row.
    EXECUTE format('CREATE POLICY sessiondir_wall ON %I USING (store = ANY (ARRAY(
      SELECT t.store FROM sessiondir_tenant t WHERE t.role = current_user)))', table_name);
  END LOOP;
END
$$;

GRANT SELECT ON sessiondir_migration, sessiondir_tenant TO sessiondir_gateway;
-- A role sees which stores are its own, and no other name.
ALTER TABLE sessiondir_tenant ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS sessiondir_wall ON sessiondir_tenant;
CREATE POLICY sessiondir_wall ON sessiondir_tenant FOR SELECT USING (role = current_user);
