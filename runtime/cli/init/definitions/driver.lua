-- Drivers and how they did, hour by hour.

entity 'driver' {
  keys = { int64 'driver_id' },
}

source 'driver_stats' {
  path = 'data/driver_stats.csv',
  event_time = 'event_timestamp', -- when it was true
  created_time = 'created', -- when it was written: corrections come later
}

feature_view 'driver_hourly_stats' {
  entity = 'driver',
  source = 'driver_stats',
  ttl = '3650d', -- how long a value stays valid
  features = {
    float64 'conv_rate' { doc = 'share of offered trips that were taken' },
    float64 'acc_rate' { doc = 'share of offered trips that were answered' },
    int64 'avg_daily_trips',
  },
}

feature_service 'driver_ranking' {
  features = { 'driver_hourly_stats:*' },
}
