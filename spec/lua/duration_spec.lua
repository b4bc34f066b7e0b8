local duration = require 'tidemark.duration'

describe('tidemark.duration', function()
  it('reads every unit and sums of them', function()
    local SECOND = 1000000
    local forms = {
      ['5us'] = 5, ['250ms'] = 250000, ['90s'] = 90 * SECOND, ['10m'] = 600 * SECOND,
      ['36h'] = 36 * 3600 * SECOND, ['7d'] = 7 * 86400 * SECOND, ['2w'] = 14 * 86400 * SECOND,
      ['1h30m'] = 5400 * SECOND, ['0d'] = 0,
    }
    for text, expected in pairs(forms) do
      assert.equal(expected, (duration.parse(text)), text)
    end
  end)

  it('keeps long durations exact', function()
    assert.is_true(duration.parse('9223372036854775807us') == nil)
    assert.is_true(duration.parse('9007199254740993us') == 9007199254740993LL)
    assert.is_true(duration.parse('106751991d') == 9223372022400000000LL)
  end)

  it('refuses what is longer than int64 microseconds', function()
    for _, text in ipairs { '106751992d', '999999999999999999w', '106751991d9h' } do
      local value, message = duration.parse(text)
      assert.is_nil(value)
      assert.equal('is longer than int64 microseconds hold (292,271 years)', message)
    end
  end)

  it('refuses everything else', function()
    for _, text in ipairs { '', '5', 'd', '-5d', '5 d', '5D', '1.5h', '5y', '5d ', ' 5d', '5dd' } do
      local value, message = duration.parse(text)
      assert.is_nil(value, text)
      assert.error_matches(function()
        error(message)
      end, 'expected a number and a unit')
    end
  end)

  it('prints what parses back', function()
    for _, text in ipairs { '365d', '1h30m', '5us', '1d1h1m1s1ms1us', '106751991d' } do
      assert.equal(text, duration.print((duration.parse(text))))
    end
    assert.equal('14d', duration.print((duration.parse '2w')))
    assert.equal('0s', duration.print(0))
  end)
end)
