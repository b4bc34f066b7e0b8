-- CSV as the contract has it: an unquoted empty field is null (nil here), `""` the empty string.

local M = {}

-- One record from `position` on: its fields, how many, and where the next one starts.
local function read_record(text, position)
  local fields, count = {}, 0
  while true do
    count = count + 1
    if text:sub(position, position) == '"' then
      local finish = position
      repeat
        finish = assert(text:find('"', finish + 1, true), 'a quote is not closed')
        local doubled = text:sub(finish + 1, finish + 1) == '"'
        finish = doubled and finish + 1 or finish
      until not doubled
      fields[count] = text:sub(position + 1, finish - 1):gsub('""', '"')
      position = finish + 1
    else
      local finish = text:find('[,\r\n]', position) or #text + 1
      fields[count] = finish > position and text:sub(position, finish - 1) or nil
      position = finish
    end
    local mark = text:sub(position, position)
    position = position + 1
    if mark ~= ',' then
      assert(mark == '\n' or mark == '\r' or mark == '', 'text after a closing quote')
      if mark == '\r' and text:sub(position, position) == '\n' then
        position = position + 1
      end
      return fields, count, position
    end
  end
end

--- Every row as a map from column to text, nulls left out; and the columns in order.
---@param text string
---@return table<string, string>[] rows
---@return string[] header
function M.parse(text)
  local header, columns, position = read_record(text, 1)
  local rows = {}
  while position <= #text do
    local fields, count
    fields, count, position = read_record(text, position)
    if count ~= columns then
      error(('row %d has %d fields, the header %d'):format(#rows + 1, count, columns))
    end
    local row = {}
    for i = 1, columns do
      row[header[i]] = fields[i]
    end
    rows[#rows + 1] = row
  end
  return rows, header
end

--- Text of the rows: every field as it is; a table row may hold false for null.
---@param header string
---@param rows string[]
---@return string
function M.lines(header, rows)
  return header .. '\n' .. table.concat(rows, '\n') .. (#rows > 0 and '\n' or '')
end

return M
