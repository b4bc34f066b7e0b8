---@meta
-- The library for features, for editors. Generated from lua/tidemark/library/ by
-- runtime/generate/library.lua.

error('annotations are for editors; they cannot be loaded')

--- Parts of timestamps, in UTC. A timestamp is what a function's row has for one: microseconds since 1970-01-01T00:00:00Z. nil in, nil out.
time = {}

--- Microseconds of a second, a minute, an hour, a day, a week.
---@type number
time.SECOND = nil

--- Microseconds of a second, a minute, an hour, a day, a week.
---@type number
time.MINUTE = nil

--- Microseconds of a second, a minute, an hour, a day, a week.
---@type number
time.HOUR = nil

--- Microseconds of a second, a minute, an hour, a day, a week.
---@type number
time.DAY = nil

--- Microseconds of a second, a minute, an hour, a day, a week.
---@type number
time.WEEK = nil

--- The year, such as 2026.
---@param t number? microseconds
---@return integer?
function time.year(t) end

--- The month, 1 to 12.
---@param t number? microseconds
---@return integer?
function time.month(t) end

--- The day of the month, 1 to 31.
---@param t number? microseconds
---@return integer?
function time.day(t) end

--- The day of the year, 1 to 366.
---@param t number? microseconds
---@return integer?
function time.yearday(t) end

--- The day of the week as ISO 8601 counts: 1 is Monday, 7 is Sunday.
---@param t number? microseconds
---@return integer?
function time.weekday(t) end

--- Whether it is Saturday or Sunday.
---@param t number? microseconds
---@return boolean?
function time.is_weekend(t) end

--- The hour of the day, 0 to 23.
---@param t number? microseconds
---@return integer?
function time.hour(t) end

--- The minute of the hour, 0 to 59.
---@param t number? microseconds
---@return integer?
function time.minute(t) end

--- The second of the minute, 0 to 59, without its fraction.
---@param t number? microseconds
---@return integer?
function time.second(t) end

--- The latest multiple of `width` that is not after `t`, counted from 1970: `time.floor(t, time.HOUR)` is the beginning of the hour. Weeks so counted begin on Thursdays.
---@param t number? microseconds
---@param width number microseconds, more than 0
---@return number?
function time.floor(t, width) end

--- The timestamp of a date and time of day in UTC. Days and what is below them may be beyond the month or day; the month may not be beyond the year.
---@param year integer
---@param month integer 1 to 12
---@param day integer
---@param hour? number
---@param minute? number
---@param second? number
---@return number microseconds
function time.of(year, month, day, hour, minute, second) end

--- Seconds from one moment to another; negative when `to` is the earlier.
---@param from number? microseconds
---@param to number? microseconds
---@return number? seconds
function time.seconds_between(from, to) end

--- Places on Earth: latitudes and longitudes in degrees (WGS 84), north and east positive. nil in, nil out.
geo = {}

--- The mean radius of the Earth in kilometres, as the IUGG has it.
---@type number
geo.EARTH_RADIUS_KM = nil

--- Great-circle distance in kilometres, by the haversine formula on a sphere: within 0.6 % of the ellipsoid.
---@param lat1 number? degrees
---@param lon1 number?
---@param lat2 number?
---@param lon2 number?
---@return number? kilometres
function geo.distance_km(lat1, lon1, lat2, lon2) end

--- The direction in which the great circle from the first place to the second begins: 0 is north, 90 east.
---@param lat1 number? degrees
---@param lon1 number?
---@param lat2 number?
---@param lon2 number?
---@return number? degrees from 0 up to 360
function geo.bearing(lat1, lon1, lat2, lon2) end

--- The geohash cell a place lies in: near places mostly share a beginning. 5 characters are about 5 by 5 km, 7 about 150 by 150 m. (G. Niemeyer's geohash, as in the public domain.)
---@param lat number? degrees
---@param lon number?
---@param length integer characters, 1 to 12
---@return string?
function geo.cell(lat, lon, length) end

--- Whether a place lies in a box, edges included. A box whose west is east of its east crosses the 180th meridian.
---@param lat number? degrees
---@param lon number?
---@param south number
---@param west number
---@param north number
---@param east number
---@return boolean?
function geo.within(lat, lon, south, west, north, east) end

--- Degrees to a whole number of cells of `size` degrees: a coarse grid to group by.
---@param degrees number?
---@param size number degrees, more than 0
---@return integer?
function geo.grid(degrees, size) end

--- Hashes and buckets that are the same on every machine, in every version: once a model was trained on them they may not change. nil in, nil out.
hash = {}

--- A whole number from 0 to 2^32 - 1: MurmurHash3 (x86, 32 bits) of the value's text.
---@param value string|number|boolean|nil
---@param seed? integer 0 when not given
---@return integer?
function hash.murmur3(value, seed) end

--- The bucket of a value, 0 to count - 1: its hash modulo `count`.
---@param value string|number|boolean|nil
---@param count integer 1 to 2^32
---@param seed? integer 0 when not given
---@return integer?
function hash.bucket(value, count, seed) end

--- Two values as one, for crossed features: `hash.bucket(hash.cross(row.city, row.device), 1000)`. Lengths are part of it: ("a", "bc") is not ("ab", "c").
---@param a string|number|boolean|nil
---@param b string|number|boolean|nil
---@return string?
function hash.cross(a, b) end

--- Numbers: what feature code does all day and easily gets wrong at the edges. nil in, nil out.
num = {}

--- a / b; `fallback` (nil when it is not given) where b is 0 or one of them is nil.
---@param a number?
---@param b number?
---@param fallback? number
---@return number?
function num.safe_div(a, b, fallback) end

--- x, but at least `low` and at most `high`; NaN stays NaN.
---@param x number?
---@param low number
---@param high number
---@return number?
function num.clamp(x, low, high) end

--- The natural logarithm of 1 + x, exact also where x is tiny; -inf at -1, NaN below. After W. Kahan: the rounding of 1 + x is divided out again.
---@param x number?
---@return number?
function num.log1p(x) end

--- 1 / (1 + e^-x), without overflow.
---@param x number?
---@return number?
function num.sigmoid(x) end

--- x to the nearest multiple of 10^-digits; halves go away from zero.
---@param x number?
---@param digits? integer 0 when not given
---@return number?
function num.round(x, digits) end

--- How many of the ascending `edges` are at or below x: 0 below the first, #edges from the last on.
---@param x number?
---@param edges number[]
---@return integer?
function num.bucketize(x, edges) end

--- -1, 0 or 1; NaN stays NaN.
---@param x number?
---@return number?
function num.sign(x) end

--- Whether x is NaN.
---@param x number?
---@return boolean?
function num.is_nan(x) end

--- Whether x is neither infinite nor NaN.
---@param x number?
---@return boolean?
function num.is_finite(x) end

--- The first of two values that is not nil: `num.default(row.trips, 0)`.
---@generic T
---@param value T?
---@param fallback T
---@return T
function num.default(value, fallback) end

--- Texts: small tools that string.* leaves to be written anew every time. nil in, nil out. Plain text everywhere, no patterns.
text = {}

--- Without spaces, tabs and line ends at both ends.
---@param text string?
---@return string?
function text.trim(text) end

--- Whether it begins with `start`.
---@param text string?
---@param start string
---@return boolean?
function text.starts_with(text, start) end

--- Whether it ends with `ending`.
---@param text string?
---@param ending string
---@return boolean?
function text.ends_with(text, ending) end

--- Whether `part` occurs in it.
---@param text string?
---@param part string
---@return boolean?
function text.contains(text, part) end

--- The parts between separators, empty ones included; their number is `n`.
---@param text string?
---@param separator string not empty
---@return string[]?
function text.split(text, separator) end

--- The words between white space, in lower case (of ASCII letters); their number is `n`.
---@param text string?
---@return string[]?
function text.words(text) end

--- The number of characters (code points) of UTF-8 text.
---@param text string?
---@return integer?
function text.length(text) end

--- The first `count` characters (code points) of UTF-8 text.
---@param text string?
---@param count integer
---@return string?
function text.left(text, count) end

--- The number that a text is, all of it: "12", "-0.5", "1e3"; nil for anything else, also for what Lua alone would read, such as "0x10" or "nan".
---@param text string?
---@return number?
function text.number(text) end

--- Lists and vectors of numbers: arrays, with their length in `n` or by `#`. Sums go from the first element to the last, so that the same values give the same bits. nil in, nil out; a hole (a null element) is an error, except where it says otherwise.
vec = {}

--- The sum of the elements; 0 of an empty list.
---@param v number[]?
---@return number?
function vec.sum(v) end

--- The mean of the elements; nil of an empty list.
---@param v number[]?
---@return number?
function vec.mean(v) end

--- The greatest element; nil of an empty list, NaN where there is one.
---@param v number[]?
---@return number?
function vec.max(v) end

--- The least element; nil of an empty list, NaN where there is one.
---@param v number[]?
---@return number?
function vec.min(v) end

--- The dot product of two lists of one length.
---@param a number[]?
---@param b number[]?
---@return number?
function vec.dot(a, b) end

--- The Euclidean length.
---@param v number[]?
---@return number?
function vec.norm(v) end

--- The Euclidean distance of two lists of one length.
---@param a number[]?
---@param b number[]?
---@return number?
function vec.distance(a, b) end

--- The cosine of the angle between two lists of one length, -1 to 1; nil where one of them is all zeros.
---@param a number[]?
---@param b number[]?
---@return number?
function vec.cosine(a, b) end

--- A new list, each element times `factor`.
---@param v number[]?
---@param factor number
---@return number[]?
function vec.scale(v, factor) end

--- A new list, a + b element by element.
---@param a number[]?
---@param b number[]?
---@return number[]?
function vec.add(a, b) end

--- A list of 0 and a single 1 at the place of `value` among `categories`; all 0 where it is none of them or nil.
---@param value string|number|boolean|nil
---@param categories (string|number|boolean)[]
---@return number[]
function vec.one_hot(value, categories) end
