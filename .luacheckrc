std = 'luajit'
max_line_length = 100
exclude_files = { 'build', '.cache', 'lua/tidemark/_meta' }
files['spec'] = { std = '+busted' }
files['**/*.rockspec'] = nil
local words = {
  'entity', 'source', 'feature_view', 'feature_service',
  'bool', 'int32', 'int64', 'float32', 'float64', 'string', 'bytes', 'timestamp', 'list', 'vector',
  'on_demand_feature_view', 'test', 'null',
  'time', 'geo', 'hash', 'num', 'text', 'vec',
}
files['definitions'] = { read_globals = words }
files['**/definitions'] = { read_globals = words }
