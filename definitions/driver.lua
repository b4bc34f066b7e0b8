-- Hourly statistics of drivers: the smallest useful project. The tables are made by
-- examples/generate.lua; Feast's driver files have the same columns.

entity 'driver' {
  keys = { int64 'driver_id' },
  doc = 'someone who takes trips',
}

source 'driver_stats' {
  path = 'data/driver_stats.parquet',
  event_time = 'event_timestamp',
  created_time = 'created',
  doc = 'one row per driver and hour on duty',
}

feature_view 'driver_hourly_stats' {
  entity = 'driver',
  source = 'driver_stats',
  ttl = '365d',
  features = {
    float32 'conv_rate' { doc = 'share of offered trips that were taken' },
    float32 'acc_rate' { doc = 'share of offered trips that were answered' },
    int64 'avg_daily_trips' { doc = 'trips a day, averaged over the last week' },
  },
  tags = { team = 'driver_performance' },
}

feature_service 'driver_ranking' {
  features = { 'driver_hourly_stats:*' },
  doc = 'what the ranking model of the dispatcher reads',
}
