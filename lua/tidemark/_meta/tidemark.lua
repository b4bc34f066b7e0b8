---@meta tidemark.methods
-- Parameters and results of the methods, for editors. Generated from
-- runtime/rpc/methods.lua by runtime/generate/rpc_reference.lua.

---@class tidemark.Error # raised when a method fails; prints as "where: message"
---@field code integer # stable
---@field name string # of the code: "invalid", "not_found", ...
---@field message string # what was wrong and what to do
---@field where? string # the parameter or the place in a file

---@class tidemark.HelloResult
---@field version string # of the program
---@field protocol integer # 1; it only ever grows
---@field generation integer # of the definitions; 0: nothing has been applied yet
---@field methods string[] # that may be called here
---@field limits table<string, integer> # `max_rows`, `max_features` and `max_values` of one get_online_features; `max_frame` and `max_output` in bytes and `max_depth` of a connection

---@class tidemark.HealthResult
---@field status string # "ok"
---@field generation integer # of the definitions
---@field uptime_seconds integer # since the start
---@field views integer # feature views that were applied

---@class (exact) tidemark.List
---@field kind string # what to list

---@class tidemark.ListResult
---@field kind string # in the plural
---@field items table[] # each with `name`, `doc`, `tags`, `at` (file and line), and short facts: keys, source, features, ttl

---@class (exact) tidemark.Describe
---@field name string # its name
---@field kind? string # needed where declarations of several kinds have the name

---@class tidemark.DescribeResult
---@field kind string # in the singular
---@field name string # its name
---@field doc string # what its definition says about it
---@field tags table<string, string> # its tags
---@field at string # the file and line it was declared at
---@field generation integer # of the definitions
---@field keys table # entities, views and services: key columns with their types
---@field features? table[] # of a view: name, type, column, doc; of a service: references
---@field inputs? string[] # of an on-demand view: references to what it is computed from
---@field request? table[] # of an on-demand view or service: what a request has to bring along, with types
---@field transform? string # of a view: the place of the function; `transform_inputs` are the fields of its row, `on_error` is what becomes of rows it fails on; `filter` and `filter_inputs` likewise
---@field ttl? integer # of a view, in microseconds; `ttl_text` says it in words
---@field mark? table # of a view that was materialized: `materialized_from`, `materialized_to`, `created_to`, `updated_at` (microseconds), `rows_read`, `rows_written`

---@class (exact) tidemark.GetOnlineFeatures
---@field service? string # a feature service, instead of `features`
---@field features? string[] # references: `view:feature`, `view:*`, `view@role:feature`
---@field entities? table<string, any>|table<string, any>[] # key values: a map of columns (`{ driver_id = [1001, 1002] }`) or a list of maps; needed unless all features are on-demand ones that take nothing but `request`
---@field request? table<string, any>|table<string, any>[] # request columns of on-demand views, in either form and with as many rows: `{ distance_km = [3.2, 8.0] }`; nil is null
---@field now? integer|string # the time that ttl is judged at; the clock by default
---@field include? string[] # what to send along for every value
---@field full_feature_names? boolean # name every column `view__feature`, not only where the short name is ambiguous
---@field roles? table<string, table<string, string>> # for a view under a role: which entity column each key is read from, `{ role = { key = column } }`

---@class tidemark.GetOnlineFeaturesResult
---@field names string[] # of the columns
---@field rows any[][] # per entity, in the order asked: a value per column
---@field statuses? string[][] # per value: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE, DELETED or ERROR
---@field event_timestamps? integer[][] # per value: the event time of the row it is from, in microseconds; nil without one

---@class (exact) tidemark.Push
---@field view string # the feature view
---@field rows table<string, any>|table<string, any>[] # a list of maps or a map of columns: keys and features by name, `event_time`, and optionally `created_time` (the time of arrival by default) and `deleted` (true: a tombstone). Features that are not given stay as they are; nil makes one null. Rows of a view with functions give the columns of the source that these take
---@field to? string # what the rows are for; `both` by default
---@field now? integer|string # event time of rows that give none

---@class tidemark.PushResult
---@field written integer # rows that are the newest of their keys now, or went offline only
---@field stale integer # rows of which a newer one was known
---@field filtered integer # rows that the view's filter left out
---@field rejected { index: integer, field: string?, reason: string }[] # rows that are wrong: their numbers in the request, from 0, and why; the others were taken

---@class tidemark.MetricsResult
---@field uptime_seconds integer # since the start
---@field generation integer # of the definitions; 0: nothing has been applied yet
---@field threads integer # that answer requests; 0 without a server
---@field connections integer # open now
---@field counters table<string, integer> # connections, bytes, rows, and rows looked up by what was found; docs/operations.md explains each
---@field cache { bytes: integer, capacity: integer } # rows kept in memory, of all threads
---@field methods table<string, { count: integer, nanoseconds: table<string, integer>, errors: table<string, integer> }> # of each method that was called: how often, how long it took (`mean`, `p50`, `p90`, `p99`, `p999`, `max`), and errors by the name of their code
---@field services table<string, { count: integer, nanoseconds: table<string, integer>, rows: integer }> # the same of get_online_features by feature service, and entities answered
---@field views { view: string, mark: integer?, age: integer?, updated_at: integer?, rows: integer?, tombstones: integer? }[] # of each view: up to when it is materialized, how long ago that is, when that was done (microseconds), and its online rows as last counted
---@field counted_at? integer # when rows were last counted, in microseconds
---@field store? table<string, integer> # `map_bytes` at most, `used_bytes`, `rows` of all views, `readers`: slots in use
---@field log? { queued_pushes: integer, queued_bytes: integer, unapplied_tables: integer, failure: string? } # pushes that wait for the log; tables of logged rows (32 MiB each, at most 8) that wait to be put into the store, and why that fails; nil where nothing was pushed

---@class tidemark.PlanResult
---@field generation integer # the current one; after apply the new one
---@field problems { where: string, message: string, excerpt: string }[] # mistakes in the definitions; with any, nothing else is filled
---@field changes { action: string, kind: string, name: string, at: string, details: string[], incompatible: boolean, reason: string? }[] # one per declaration: create, update or delete
---@field change_count integer # how many
---@field incompatible_count integer # of these: the ones that need `allow_incompatible`
---@field rows_dropped integer # online rows of dropped views that apply deleted

---@class (exact) tidemark.Apply
---@field allow_incompatible? boolean # also changes that drop online rows or break readers

---@class tidemark.ApplyResult
---@field generation integer # the current one; after apply the new one
---@field problems { where: string, message: string, excerpt: string }[] # mistakes in the definitions; with any, nothing else is filled
---@field changes { action: string, kind: string, name: string, at: string, details: string[], incompatible: boolean, reason: string? }[] # one per declaration: create, update or delete
---@field change_count integer # how many
---@field incompatible_count integer # of these: the ones that need `allow_incompatible`
---@field rows_dropped integer # online rows of dropped views that apply deleted

---@class (exact) tidemark.GetHistoricalFeatures
---@field spine string # the file with keys and times
---@field output string # the file to write, by extension
---@field features? string[] # references: `view:feature`, `view:*`, `view@role:feature`
---@field service? string # a feature service, instead of `features`
---@field timestamp? string # the spine's time column; `event_timestamp` by default
---@field time_unit? string # of the time column, where it is an integer
---@field maps? table[] # spine columns with another name than the key: `[{ view, key, column }]`, where `view` is a view or a role
---@field as_of_created? integer|string # ignore rows created after it
---@field full_feature_names? boolean # name every column `view__feature`, not only where the short name is ambiguous
---@field statuses? boolean # add a column `NAME__status` for every feature
---@field event_timestamps? boolean # add a column `VIEW__event_timestamp` for every view
---@field on_bad_row? string # what becomes of a source's row with a value that does not fit its type: an error (the default), or it is counted and left out
---@field rejects? string # a .jsonl file for those values: `source`, `file`, `row`, `column`, `message`

---@class tidemark.GetHistoricalFeaturesResult
---@field rows integer # written; as many as the spine has
---@field columns integer # written
---@field parts integer # that the spine was taken in, each with a pass over the views
---@field memory_limit integer # bytes that made them necessary
---@field views { view: string, read: integer, present: integer, missing: integer, expired: integer, deleted: integer, rejected: integer, failed: integer }[] # per view: rows read, what the spine's rows found, rows rejected for bad values, and rows of the spine whose features are null because the transform failed
---@field on_demand { view: string, failed: integer }[] # per on-demand view that was computed: rows whose features are null because the function failed

---@class (exact) tidemark.Materialize
---@field start? integer|string # inclusive
---@field [1]? integer|string # start
---@field ["end"]? integer|string # exclusive
---@field [2]? integer|string # end
---@field views? string[] # all online views by default
---@field on_bad_row? string # what becomes of a source's row with a value that does not fit its type: an error (the default), or it is counted and left out
---@field rejects? string # a .jsonl file for those values: `source`, `file`, `row`, `column`, `message`

---@class tidemark.MaterializeResult
---@field views { view: string, start: integer?, end: integer, read: integer, inside: integer, late: integer, written: integer, stale: integer, rejected: integer, filtered: integer, failed: integer, mark: integer?, gap: boolean }[] # per view: its interval; rows read, inside the interval and late; keys written and stale (the stored row was as new); rows rejected, and left out by the filter; rows among the newest whose transform failed and made nulls; where the mark stands now; whether there is a gap between what was materialized before and this interval, so that the mark stayed

---@class (exact) tidemark.MaterializeIncremental
---@field ["end"]? integer|string # exclusive
---@field [1]? integer|string # end
---@field views? string[] # all online views by default
---@field on_bad_row? string # what becomes of a source's row with a value that does not fit its type: an error (the default), or it is counted and left out
---@field rejects? string # a .jsonl file for those values: `source`, `file`, `row`, `column`, `message`

---@class tidemark.MaterializeIncrementalResult
---@field views { view: string, start: integer?, end: integer, read: integer, inside: integer, late: integer, written: integer, stale: integer, rejected: integer, filtered: integer, failed: integer, mark: integer?, gap: boolean }[] # per view: its interval; rows read, inside the interval and late; keys written and stale (the stored row was as new); rows rejected, and left out by the filter; rows among the newest whose transform failed and made nulls; where the mark stands now; whether there is a gap between what was materialized before and this interval, so that the mark stayed

---@class (exact) tidemark.CopyFile
---@field from string # the file to read
---@field to string # the file to write

---@class tidemark.CopyFileResult
---@field rows integer # written
