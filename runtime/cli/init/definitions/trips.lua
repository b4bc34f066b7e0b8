-- Features that functions make: the same code in training, backfills, pushes and serving.
-- `tidemark try driver_quality` shows what it makes of some rows, `tidemark test` runs the tests.

-- From each row of the source. A CSV file has no types, so `inputs` says them.
feature_view 'driver_quality' {
  entity = 'driver',
  source = 'driver_stats',
  ttl = '3650d',
  inputs = { float64 'conv_rate', float64 'acc_rate', int64 'avg_daily_trips' },
  filter = function(row)
    return row.avg_daily_trips ~= nil -- without trips there is nothing to judge
  end,
  transform = function(row)
    return {
      reliability = row.conv_rate * row.acc_rate,
      busy = row.avg_daily_trips >= 20,
    }
  end,
  features = {
    float64 'reliability' { doc = 'share of offered trips that were answered and taken' },
    bool 'busy' { doc = 'drives all day' },
  },
}

-- When it is asked for: from stored features, and from what the request (or the spine) brings.
on_demand_feature_view 'trip_offer' {
  inputs = { 'driver_quality:reliability' },
  request = { float64 'distance_km' },
  transform = function(row)
    local fare = 2.5 + 1.2 * row.distance_km
    return { expected_fare = fare * (row.reliability or 0.5) } -- nil: a driver without a past
  end,
  features = { float64 'expected_fare' },
}

feature_service 'trip_ranking' {
  features = { 'driver_quality:*', 'trip_offer:expected_fare' },
}

test 'a driver with many trips is busy' {
  view = 'driver_quality',
  given = {
    { conv_rate = 0.5, acc_rate = 0.75, avg_daily_trips = 20 },
    { conv_rate = 0.5, acc_rate = 0.75, avg_daily_trips = null }, -- filtered: no second row below
  },
  expect = { reliability = 0.375, busy = true },
}

local function stats(time, trips)
  return {
    driver_id = 1,
    event_timestamp = time,
    conv_rate = 0.5,
    acc_rate = 0.75,
    avg_daily_trips = trips,
  }
end

-- With `at`, the given rows are the whole source, and the answer is the one of that time.
test 'the newest row before the time counts' {
  view = 'driver_quality',
  at = '2025-01-02',
  given = { stats('2025-01-01', 30), stats('2025-01-01T06:00:00Z', 10), stats('2025-01-03', 40) },
  expect = {
    { driver_id = 1, busy = false },
    { driver_id = 2, busy = null },
  },
}

test 'a driver without a past has an even chance' {
  view = 'trip_offer',
  given = { distance_km = 10 },
  expect = { expected_fare = 7.25 },
}
