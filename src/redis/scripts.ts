/**
 * The Lua scripts: one atomic call for many keys, with one answer for each. Every key that a script touches is declared in
 * KEYS. They work in the selected database of the connection, on Redis 6.2 and later and on Valkey.
 *
 * `renew` and `release` answer with the exceptions only, so that the usual entry costs no reply.
 *
 * A server that has become a replica refuses writes but answers reads, from data that may be behind. So before a script reports
 * a key as not ours, it makes a write that changes nothing: a replica then answers READONLY. A server without memory must not
 * refuse that write, or the other keys of the batch would not be renewed either.
 *
 * Some managed services analyse a script before they run it, and refuse keys that they do not see. So each command names its keys as `KEYS[i]`,
 * never through a variable.
 */
import { nextFence, WATCH_LOCKS } from './lua-parts.ts'

/**
 * KEYS: the fence counter, then the locks. ARGV: a token for each lock, then one ttl for all or one for each (ms).
 *
 * One fence serves all locks of a call: the larger of the last one plus 1 and the server's time in µs. The counter grows with
 * each call; the time keeps fences growing if the counter is lost. GETEX reads the counter, because tracking does not count it as a read: the
 * counter changes with every acquisition. (Before Redis 7.2 a script that reads one of its keys has read them all; the extra notifications match
 * no lock.) The counter comes after the locks: a server without memory refuses only the first write of a script, and GETEX is a write.
 *
 * @returns the fence (0 if nothing was granted); then, if anything was refused, a list with three elements for each such lock: its index (from 1),
 * what is left of the holder's ttl in ms, -1 if it has none, and the holder's token, empty if it is no string.
 */
function acquireScript(finish: string, withFloor = false): string {
  return `
local count = #KEYS - 1
local values = ARGV
local uniform = #values == count + ${withFloor ? 2 : 1} and values[count + 1]
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
${nextFence(withFloor)}${finish}
if #refused == 0 then return { fence } end
return { fence, refused }
`
}

export const ACQUIRE: string = acquireScript('')
/**
 * As `ACQUIRE`, and watches the granted keys. A server forgets the readers of a key when that changes, even if a reader changed it. So the
 * script reads the keys once more, after its writes.
 */
export const ACQUIRE_AND_WATCH: string = acquireScript(WATCH_LOCKS)

/**
 * As the other two, for clusters and quorums: one more argument comes last, a fence that the new one must be larger than. The counter of a slot
 * may be behind after a failover, and that of a member behind those of others.
 */
export const ACQUIRE_WITH_FLOOR: string = acquireScript('', true)
export const ACQUIRE_AND_WATCH_WITH_FLOOR: string = acquireScript(WATCH_LOCKS, true)

/** KEYS: the fence counter. ARGV: a fence. All later fences are larger. @returns an empty list. */
export const RAISE: string = `
local last = tonumber(redis.call('GETEX', KEYS[1]) or 0) or 0
if last < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return {}
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
/** As `RENEW`, and watches the keys: see `ACQUIRE_AND_WATCH`. */
export const RENEW_AND_WATCH: string = renewScript(`
redis.call('EXISTS', unpack(KEYS))`)

/** KEYS: the locks. ARGV: a token for each, then the indices (from 1) of those to watch. @returns as `RENEW`. */
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

/**
 * As `RELEASE`, but a key may stay for a while. ARGV: a token for each, then for each a time (µs by the server's clock), then for each how long it
 * stays from that time on (ms; 0 if it is deleted now), then the indices of those to watch.
 */
export const RELEASE_LATER: string = `
local count = #KEYS
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local held = redis.call('MGET', unpack(KEYS))
local exceptions = {}
for i = 1, count do
  if held[i] == ARGV[i] then
    local duration = tonumber(ARGV[2 * count + i])
    local left = math.min(duration, math.ceil(duration - (now - tonumber(ARGV[count + i])) / 1000))
    if left > 0 then
      redis.call('PEXPIRE', KEYS[i], string.format('%.0f', left))
    else
      redis.call('DEL', KEYS[i])
    end
  else${REPORT_NOT_OURS}
  end
end
for i = 3 * count + 1, #ARGV do
  local index = tonumber(ARGV[i])
  redis.call('EXISTS', KEYS[index])
end
return exceptions
`

/** KEYS: the locks. ARGV: a token for each. Reads by GETEX, so that a server without room for watched keys does not forget others. @returns as `RENEW`. */
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

/** KEYS: the locks. Reads them, so that the server watches them if it is to, and changes nothing. */
export const WATCH: string = `
redis.call('EXISTS', unpack(KEYS))
return {}
`

/**
 * KEYS: one lock. @returns its token ('' for a value that is no string) and what is left of its ttl in ms (-1: none); nothing if it is free. If several
 * may hold it, also its mode, and the member and what is left of the ttl of each holder: see `joint-scripts.ts`.
 */
export const INSPECT = `
local remaining = redis.call('PTTL', KEYS[1])
if remaining == -2 then return {} end
local token = redis.pcall('GET', KEYS[1])
if type(token) == 'string' then return { token, remaining } end
if redis.call('TYPE', KEYS[1])['ok'] ~= 'zset' then return { '', remaining } end
local mode = redis.call('ZSCORE', KEYS[1], 'm')
if not mode then return { '', remaining } end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local live = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '(1e14', 'WITHSCORES')
local view = { '', remaining, tonumber(mode) }
for i = 1, #live, 2 do
  if #live[i] > 1 then
    view[#view + 1] = live[i]
    view[#view + 1] = tonumber(live[i + 1]) - now
  end
end
return view
`
