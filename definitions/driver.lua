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

-- Computed when it is asked for: at serving `distance_km` comes with the request, in training sets
-- it is a column of the spine.
on_demand_feature_view 'trip_fare' {
  inputs = { 'driver_hourly_stats:conv_rate' },
  request = { float64 'distance_km' { doc = 'of the trip that is offered' } },
  features = { float64 'expected_fare' { doc = 'fare, by the chance that the offer is taken' } },
  transform = function(row)
    if not row.distance_km or not row.conv_rate then
      return {}
    end
    return { expected_fare = (2.5 + 1.1 * row.distance_km) * row.conv_rate }
  end,
}

feature_service 'driver_ranking' {
  features = { 'driver_hourly_stats:*' },
  doc = 'what the ranking model of the dispatcher reads',
}

feature_service 'trip_pricing' {
  features = { 'driver_hourly_stats:avg_daily_trips', 'trip_fare:*' },
  doc = 'what the dispatcher reads before it offers a trip',
}
