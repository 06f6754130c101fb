/** The Lua scripts for operators: see `scripts.ts` for what they have in common. */

/**
 * KEYS: any keys. Changes nothing.
 *
 * @returns five elements for each key: what is left of its ttl in ms (-1: none, -2: it is gone), its type, the beginning of the string on it (empty
 * for other types), how many fields or members it has, and its mode if it is a joint lease of ours, otherwise -1. Such a key has holders instead of members:
 * see `joint-scripts.ts`.
 */
export const VIEW = `
local views = {}
for i = 1, #KEYS do
  local remaining = redis.call('PTTL', KEYS[i])
  local token = redis.pcall('GETRANGE', KEYS[i], 0, 511)
  local kind, holders, mode = 'string', 1, -1
  if type(token) ~= 'string' then
    token = ''
    kind = redis.call('TYPE', KEYS[i])['ok']
    if kind == 'hash' then holders = redis.call('HLEN', KEYS[i]) end
    if kind == 'zset' then
      holders = redis.call('ZCARD', KEYS[i])
      mode = tonumber(redis.call('ZSCORE', KEYS[i], 'm') or -1)
    end
    if mode >= 0 then
      local time = redis.call('TIME')
      local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
      holders = redis.call('ZCOUNT', KEYS[i], '(' .. now, '(1e14')
      for _, until_when in ipairs(redis.call('ZMSCORE', KEYS[i], 'r', 't', 'w')) do
        if until_when and tonumber(until_when) > tonumber(now) then holders = holders - 1 end
      end
    end
  end
  local n = #views
  views[n + 1] = remaining
  views[n + 2] = kind
  views[n + 3] = token
  views[n + 4] = holders
  views[n + 5] = mode
end
return views
`

/**
 * KEYS: the index of announcements, and this one's own key. ARGV: its id, its text, and a ttl in ms. The index is a sorted set of ids by the time at
 * which they expire, in ms by the server's clock.
 *
 * @returns the ids of all that are announced.
 */
export const ANNOUNCE = `
local ttl = tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ttl)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
return redis.call('ZRANGE', KEYS[1], 0, -1)
`

/** KEYS: the index of announcements, and the one that ends. ARGV: its id. */
export const WITHDRAW = `
redis.call('DEL', KEYS[2])
return { redis.call('ZREM', KEYS[1], ARGV[1]) }
`
