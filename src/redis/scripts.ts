/**
 * The Lua scripts: one call for many keys, atomic, one answer for each. Every key a script touches is declared in
 * KEYS. They work in the database that the connection has selected, and on Redis 6.2 and later and Valkey.
 *
 * An entry that needs no words costs none: `renew` and `release` answer with the exceptions only.
 *
 * A server that has become a replica refuses writes but answers reads, from data that may be behind. Before a script says
 * that a key is not ours it therefore makes a write that changes nothing, so that a replica answers READONLY instead; one
 * that a server without memory does not refuse, or the neighbours of that key would not be renewed either.
 *
 * Some managed services read a script before they run it, and refuse keys that they do not see: each command names its keys as `KEYS[i]`, never
 * through a variable.
 */

/**
 * KEYS: the fence counter, then the locks. ARGV: a token for each lock, then one ttl for all or one for each (ms).
 *
 * One fence serves all locks of a call: the larger of the last one plus 1 and the server's time in µs. The counter is
 * strictly larger with each call; the time keeps it so when the counter is lost. It is read by GETEX, which is no reading to a server that
 * watches keys: the counter changes with every lock that anybody acquires. (Before Redis 7.2 a script that reads one of its keys has read
 * them all; the hints that come of it concern nobody.) That is done after the locks: a server without memory refuses the first write of a
 * script only, and GETEX is one.
 *
 * @returns the fence (0 if nothing was granted); then, if anything was refused, a list with three elements for each such lock: its index (from 1),
 * what is left of the holder's ttl in ms, -1 if it has none, and the holder's token, empty if it is no string.
 */
function acquireScript(finish: string): string {
  return `
local count = #KEYS - 1
local values = ARGV
local uniform = #values == count + 1 and values[count + 1]
local refused = {}
for i = 2, #KEYS do
  local token, ttl = values[i - 1], uniform or values[count + i - 1]
  if not redis.call('SET', KEYS[i], token, 'NX', 'PX', ttl) then
    local holder = redis.pcall('GET', KEYS[i])
    if holder == token then
      redis.call('PEXPIRE', KEYS[i], ttl)
    else
      local n = #refused
      refused[n + 1] = i - 1
      refused[n + 2] = redis.call('PTTL', KEYS[i])
      refused[n + 3] = type(holder) == 'string' and holder or ''
    end
  end
end
local fence = 0
if #refused < 3 * count then
  local time = redis.call('TIME')
  fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local last = tonumber(redis.call('GETEX', KEYS[1]) or 0) or 0
  if last >= fence then fence = last + 1 end
  redis.call('SET', KEYS[1], string.format('%.0f', fence))
end${finish}
if #refused == 0 then return { fence } end
return { fence, refused }
`
}

export const ACQUIRE: string = acquireScript('')
/**
 * As `ACQUIRE`, and watches what it granted. A server forgets who has read a key when it is changed, be it by the reader itself:
 * so it is read once more, after that.
 */
export const ACQUIRE_AND_WATCH: string = acquireScript(`
redis.call('EXISTS', unpack(KEYS, 2))`)

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
function renewScript(finish: string): string {
  return `
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
end${finish}
return exceptions
`
}

export const RENEW: string = renewScript('')
/** As `RENEW`, and watches them: see `ACQUIRE_AND_WATCH`. */
export const RENEW_AND_WATCH: string = renewScript(`
redis.call('EXISTS', unpack(KEYS))`)

/** KEYS: the locks. ARGV: a token for each, then the indices (from 1) of those that are to be watched. @returns as `RENEW`. */
export const RELEASE: string = `
local count = #KEYS
local held = redis.call('MGET', unpack(KEYS))
local exceptions = {}
for i = 1, count do
  if held[i] == ARGV[i] then
    redis.call('DEL', KEYS[i])
  else${REPORT_NOT_OURS}
  end
end
for i = count + 1, #ARGV do
  local index = tonumber(ARGV[i])
  redis.call('EXISTS', KEYS[index])
end
return exceptions
`

/** KEYS: the locks. ARGV: a token for each. Reads by GETEX, so that a server which has run out of room for watched keys is not made to forget others. @returns as `RENEW`. */
export const VERIFY: string = `
local exceptions = {}
for i = 1, #KEYS do
  local held = redis.pcall('GETEX', KEYS[i])
  if type(held) == 'table' and not string.find(held.err, 'WRONGTYPE') then return held end
  if held ~= ARGV[i] then${REPORT_NOT_OURS}
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
