//! Images of databases, queues and the like, which are no apps.

/// The last part of an image's name, and what it is called.
const KNOWN: [(&str, &str); 41] = [
    ("postgres", "Postgres"),
    ("postgresql", "Postgres"),
    ("postgis", "Postgres"),
    ("pgvector", "Postgres"),
    ("timescaledb", "Postgres"),
    ("timescaledb-ha", "Postgres"),
    ("mysql", "MySQL"),
    ("mysql-server", "MySQL"),
    ("percona", "MySQL"),
    ("mariadb", "MariaDB"),
    ("redis", "Redis"),
    ("redis-stack", "Redis"),
    ("redis-stack-server", "Redis"),
    ("valkey", "Valkey"),
    ("keydb", "KeyDB"),
    ("dragonfly", "Dragonfly"),
    ("memcached", "Memcached"),
    ("mongo", "MongoDB"),
    ("mongodb", "MongoDB"),
    ("mongodb-community-server", "MongoDB"),
    ("ferretdb", "FerretDB"),
    ("rabbitmq", "RabbitMQ"),
    ("nats", "NATS"),
    ("kafka", "Kafka"),
    ("cp-kafka", "Kafka"),
    ("redpanda", "Redpanda"),
    ("zookeeper", "ZooKeeper"),
    ("cp-zookeeper", "ZooKeeper"),
    ("elasticsearch", "Elasticsearch"),
    ("opensearch", "OpenSearch"),
    ("meilisearch", "Meilisearch"),
    ("typesense", "Typesense"),
    ("minio", "MinIO"),
    ("clickhouse", "ClickHouse"),
    ("clickhouse-server", "ClickHouse"),
    ("influxdb", "InfluxDB"),
    ("cassandra", "Cassandra"),
    ("couchdb", "CouchDB"),
    ("neo4j", "Neo4j"),
    ("etcd", "etcd"),
    ("server", "SQL Server"),
];

/// What the image is, if it is no app: `registry.example.com/library/postgres:16` is Postgres.
pub(super) fn kind(image: &str) -> Option<&'static str> {
    let path = image.split('@').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    // Everything is called `server`.
    if name == "server" && !path.contains("mssql/") {
        return None;
    }
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_name_tells() {
        assert_eq!(kind("postgres:16-alpine"), Some("Postgres"));
        assert_eq!(kind("localhost:5000/bitnami/redis@sha256:00"), Some("Redis"));
        assert_eq!(kind("mcr.microsoft.com/mssql/server:2022-latest"), Some("SQL Server"));
        assert_eq!(kind("vaultwarden/server"), None);
        assert_eq!(kind("redis/insight"), None);
    }
}
