-- A text as C string literals, one per line: what the generators that embed files share.

local ESCAPES = { ['\\'] = '\\\\', ['"'] = '\\"', ['?'] = '\\?' } -- \?: no trigraphs

--- One C string literal per line of text.
return function(text)
  local lines = {}
  for line, ending in text:gmatch('([^\n]*)(\n?)') do
    if line ~= '' or ending ~= '' then
      local escaped = line:gsub('[\\"?]', ESCAPES):gsub('[^\32-\126]', function(char)
        return ('\\%03o'):format(char:byte())
      end)
      lines[#lines + 1] = ('    "%s%s"'):format(escaped, ending ~= '' and '\\n' or '')
    end
  end
  return #lines > 0 and table.concat(lines, '\n') or '    ""'
end
