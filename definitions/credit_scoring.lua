-- Credit scoring: is this loan going to be repaid? Two views with different keys over slowly and
-- quickly changing facts, joined to one row per loan. Tables: examples/generate.lua.

entity 'zipcode' {
  keys = { int64 'zipcode' },
  doc = 'postal code of the applicant',
}

entity 'person' {
  keys = { string 'dob_ssn' },
  doc = 'date of birth and last four digits of the social security number',
}

source 'zipcode_table' {
  path = 'data/credit_scoring/zipcode_table.parquet',
  event_time = 'event_timestamp',
  created_time = 'created_timestamp',
  doc = 'statistics of postal codes, a snapshot every few years',
}

source 'credit_history' {
  path = 'data/credit_scoring/credit_history.parquet',
  event_time = 'event_timestamp',
  created_time = 'created_timestamp',
  doc = 'snapshots from the credit bureau, with corrections and late deliveries',
}

feature_view 'zipcode_features' {
  entity = 'zipcode',
  source = 'zipcode_table',
  ttl = '3650d',
  features = {
    string 'city',
    string 'state' { doc = 'two letters' },
    string 'location_type',
    int64 'tax_returns_filed',
    int64 'population',
    int64 'total_wages' { doc = 'US dollars a year' },
  },
}

feature_view 'credit_history' {
  entity = 'person',
  source = 'credit_history',
  ttl = '90d',
  features = {
    int64 'credit_card_due' { doc = 'US dollars' },
    int64 'mortgage_due' { doc = 'US dollars' },
    int64 'student_loan_due' { doc = 'US dollars' },
    int64 'vehicle_loan_due' { doc = 'US dollars' },
    int64 'hard_pulls' { doc = 'credit inquiries that leave a trace' },
    int64 'missed_payments_2y',
    int64 'missed_payments_1y',
    int64 'missed_payments_6m',
    int64 'bankruptcies',
  },
}

feature_service 'credit_scoring' {
  features = { 'zipcode_features:*', 'credit_history:*' },
  doc = 'everything the scoring model was trained on',
}
