/**
 * The Lua scripts: one call for many keys, atomic, one answer for each. Every key a script touches is declared in KEYS. They
 * work in the database that the connection has selected, and on Redis 6.2 and later and Valkey. May import nothing.
 *
 * An entry that needs no words costs none: `renew` and `release` answer with the exceptions only.
 *
 * A server that has become a replica refuses writes but answers reads, from data that may be behind. Before a script says
 * that a key is not ours it therefore makes a write that changes nothing, so that a replica answers READONLY instead; one
 * that a server without memory does not refuse, or the neighbours of that key would not be renewed either.
 */

/**
 * KEYS: the fence counter, then the locks. ARGV: a token for each lock, then one ttl for all or one for each (ms).
 *
 * One fence serves all locks of a call: the larger of the last one plus 1 and the server's time in µs. The counter is
 * strictly larger with each call; the time keeps it so when the counter is lost.
 *
 * @returns the fence (0 if nothing was granted); if anything was refused, then for each lock -2 where it was granted,
 * otherwise what is left of the holder's ttl in ms, -1 if it has none.
 */
export const ACQUIRE = `
local count = #KEYS - 1
local uniform = #ARGV == count + 1
local results, granted, refused = {}, 0, false
for i = 1, count do
  local key, token = KEYS[i + 1], ARGV[i]
  local ttl = uniform and ARGV[count + 1] or ARGV[count + i]
  if redis.call('SET', key, token, 'NX', 'PX', ttl) then
    results[i] = -2
    granted = granted + 1
  elseif redis.pcall('GET', key) == token then
    redis.call('PEXPIRE', key, ttl)
    results[i] = -2
    granted = granted + 1
  else
    results[i] = redis.call('PTTL', key)
    refused = true
  end
end
local fence = 0
if granted > 0 then
  local time = redis.call('TIME')
  fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local last = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
  if last >= fence then fence = last + 1 end
  redis.call('SET', KEYS[1], string.format('%.0f', fence))
end
if not refused then return { fence } end
return { fence, unpack(results) }
`

/** Lua source that reports lock `i` as not ours: its index, and 1 for another's token or 0 for no key. */
const REPORT_NOT_OURS = `
    if redis.call('EXISTS', KEYS[i]) == 1 then
      redis.call('RENAMENX', KEYS[i], KEYS[i])
      exceptions[#exceptions + 1] = i
      exceptions[#exceptions + 1] = 1
    else
      redis.call('DEL', KEYS[i])
      exceptions[#exceptions + 1] = i
      exceptions[#exceptions + 1] = 0
    end`

/**
 * KEYS: the locks. ARGV: a token for each, then one ttl for all or one for each (ms).
 *
 * @returns for each lock that is not ours its index (from 1), then 1 if another token is on it or 0 if it is gone.
 */
export const RENEW: string = `
local count = #KEYS
local uniform = #ARGV == count + 1
local ttl = ARGV[count + 1]
local held = redis.call('MGET', unpack(KEYS))
local exceptions = {}
for i = 1, count do
  if held[i] == ARGV[i] then
    redis.call('PEXPIRE', KEYS[i], uniform and ttl or ARGV[count + i])
  else${REPORT_NOT_OURS}
  end
end
return exceptions
`

/** KEYS: the locks. ARGV: a token for each. @returns as `RENEW`. */
export const RELEASE: string = `
local held = redis.call('MGET', unpack(KEYS))
local exceptions = {}
for i = 1, #KEYS do
  if held[i] == ARGV[i] then
    redis.call('DEL', KEYS[i])
  else${REPORT_NOT_OURS}
  end
end
return exceptions
`

/** KEYS: one lock. @returns its token ('' for a value that is no string) and what is left of its ttl in ms (-1: none); nothing if it is free. */
export const INSPECT = `
local remaining = redis.call('PTTL', KEYS[1])
if remaining == -2 then return {} end
local token = redis.pcall('GET', KEYS[1])
if type(token) ~= 'string' then token = '' end
return { token, remaining }
`
