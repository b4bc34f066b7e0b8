"""Feast itself: get_historical_features of its local offline stores, from file to file."""

import os
import tempfile
import warnings
from datetime import timedelta

import pandas
from feast import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    ValueType,
)
from feast.data_format import ParquetFormat
from feast.types import Float64

import peer
from peer import cases

STORES = {"feast": "dask", "feast-duckdb": "duckdb"}


def make_store(arguments, folder):
    """A local registry with one feature view per file."""
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=os.path.join(folder, "registry.db"),
        offline_store={"type": STORES[arguments.engine]},
        online_store={"type": "sqlite", "path": os.path.join(folder, "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    kind = ValueType.STRING if arguments.case.key == "string" else ValueType.INT64
    user = Entity(name="user", join_keys=["user_id"], value_type=kind)
    objects = [user]
    for number, path in enumerate(arguments.views, 1):
        source = FileSource(
            name=f"events_{number}",
            path=os.path.abspath(path),
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        objects.append(
            FeatureView(
                name=f"view_{number}",
                entities=[user],
                ttl=timedelta(days=cases.TTL_DAYS),
                schema=[Field(name=name, dtype=Float64) for name in cases.feature_names(number)],
                source=source,
            )
        )
    store.apply(objects)
    return store


def main():
    warnings.simplefilter("ignore")
    arguments = peer.parse()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(arguments, folder)
        features = [
            f"view_{number}:{name}"
            for number in range(1, arguments.case.views + 1)
            for name in cases.feature_names(number)
        ]

        def join():
            spine = pandas.read_parquet(arguments.spine)
            job = store.get_historical_features(entity_df=spine, features=features)
            job.to_df().to_parquet(arguments.out, compression="zstd", index=False)

        peer.timed(arguments, join)


if __name__ == "__main__":
    main()
