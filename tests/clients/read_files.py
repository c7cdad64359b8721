"""Asks DuckDB and the server the same question of the same files. Arguments: port, data folder."""

import glob
import sys

import duckdb
import pymysql

port, data = int(sys.argv[1]), sys.argv[2]
files = glob.glob(f"{data}/tables/demo/*/_event_date=*/*.parquet")
assert files, "the table has files"
question = """
  SELECT event_name, COUNT(*), COUNT(DISTINCT user_id), COUNT(amount), MIN(user_id), MAX(user_id), COUNT(DISTINCT event_time)
  FROM {} GROUP BY event_name ORDER BY event_name
"""
theirs = duckdb.sql(question.format(f"read_parquet({files})")).fetchall()
with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection, connection.cursor() as cursor:
    cursor.execute(question.format("demo.events"))
    ours = [tuple(row) for row in cursor.fetchall()]
assert ours == theirs, (ours, theirs)
