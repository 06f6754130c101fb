/**
 * The Lua scripts for keys that several may hold: see `rules/sharing.ts` for the rules, and `scripts.ts` for what all scripts have in common.
 *
 * Such a key is a sorted set. A plain lock on it is a string, so each refuses the other. Its members are
 *
 *     <token>            a holder; its score is when it ends, in ms by the server's clock
 *     <token>*<weight>   a holder that takes more than one permit
 *     m, u               the mode (1 permits, 2 read, 3 write, 0 nobody) and the sum of all weights
 *     v                  the last change: the time in µs, of which the last eleven digits are kept
 *     e                  the last end of a writer, in µs
 *     r, w, t            until when readers wait, writers wait, and readers go first, in ms
 *
 * Counts, times in ms and times in µs lie apart: one range has all that may be over. Members of one letter are no holders. A set without `m` is
 * another library's. A semaphore that takes our key removes the members with small scores, `m`, `u` and `v` together.
 */

const COMMON = `
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local version = micros % 1e11

local function text(number) return string.format('%.0f', number) end
local function weightOf(member) return tonumber(string.match(member, '%*(%d+)$')) or 1 end

local function settle(s)
  if s.u > 0 then return end
  if s.m == 3 then
    s.e, s.t, s.r = micros, s.r, nil
  end
  s.m = 0
end

local function open(i)
  local s = { m = 0, u = 0, v = 0, e = 0 }
  local kind = redis.call('TYPE', KEYS[i])['ok']
  if kind == 'none' then return s end
  local facts = kind == 'zset' and redis.call('ZMSCORE', KEYS[i], 'm', 'u', 'v', 'e', 'r', 't', 'w')
  if not facts or not facts[1] then
    s.foreign = true
    return s
  end
  s.there = true
  s.m, s.u, s.v, s.e = tonumber(facts[1]), tonumber(facts[2]), tonumber(facts[3]), tonumber(facts[4] or 0)
  s.r, s.t, s.w = tonumber(facts[5] or nil), tonumber(facts[6] or nil), tonumber(facts[7] or nil)
  local over = redis.call('ZRANGEBYSCORE', KEYS[i], '1e12', text(now))
  if #over > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '1e12', text(now))
    s.changed = true
    for _, member in ipairs(over) do
      if #member == 1 then s[member] = nil else s.u = s.u - weightOf(member) end
    end
    settle(s)
  end
  return s
end

local function close(i, s)
  if not s.changed then return end
  s.v = version
  if s.u <= 0 and not s.r and not s.t and not s.w then
    redis.call('DEL', KEYS[i])
    return
  end
  redis.call('ZADD', KEYS[i], s.m, 'm', s.u, 'u', text(s.v), 'v')
  if s.e > 0 then redis.call('ZADD', KEYS[i], text(s.e), 'e') end
  for _, name in ipairs({ 'r', 't', 'w' }) do
    if s[name] then redis.call('ZADD', KEYS[i], text(s[name]), name) else redis.call('ZREM', KEYS[i], name) end
  end
  local last = redis.call('ZREVRANGEBYSCORE', KEYS[i], '(1e14', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  redis.call('PEXPIREAT', KEYS[i], text(tonumber(last[2])))
end

local function touch(i)
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAMENX', KEYS[i], KEYS[i]) else redis.call('DEL', KEYS[i]) end
end
`

/**
 * KEYS: the fence counter, then each lock once. ARGV: 1 if granted keys are to be watched; a fence that the new ones must be larger than; then for
 * each entry the index of its key, its member, its ttl, mode, permits, weight, turn (-1: never refused), and for how long it counts as waiting.
 *
 * Each entry has a fence of its own, because the holders of one key have to differ.
 *
 * @returns for each entry its fence; or, if it was refused, 0, then what is left of the ttl of the first holder that ends (-1: none), that holder's
 * member, the last change and the last end of a writer.
 */
export const ACQUIRE_JOINTS: string = `${COMMON}
local states, keys, refused, answers = {}, {}, {}, {}
local fence
for at = 3, #ARGV, 8 do
  local i, member, ttl, mode = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local permits, weight = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local turn, announce = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local s = states[i]
  if not s then
    s = open(i)
    states[i] = s
    keys[#keys + 1] = i
  end
  local granted = false
  if s.foreign then
    granted = false
  elseif s.there and redis.call('ZSCORE', KEYS[i], member) then
    granted = true
  else
    if mode == 1 then
      granted = s.m < 2 and s.u + weight <= permits
    elseif mode == 2 then
      granted = (s.m == 0 or s.m == 2) and (not s.w or (turn >= 0 and turn ~= s.e))
    else
      granted = s.u <= 0 and not s.t
    end
    if granted then
      s.m, s.u = mode, s.u + weight
      if mode == 2 then s.r, s.t = nil, nil end
      if mode == 3 then s.w = nil end
    elseif announce > 0 then
      local name = mode == 2 and 'r' or 'w'
      if not s[name] or s[name] < now + announce / 2 then
        s[name], s.changed = now + announce, true
      end
    end
  end
  if granted then
    redis.call('ZADD', KEYS[i], text(now + ttl), member)
    s.there, s.changed = true, true
    if fence then
      fence = fence + 1
    else
      local last = math.max(tonumber(redis.call('GETEX', KEYS[1]) or 0) or 0, tonumber(ARGV[2]))
      fence = math.max(last + 1, micros)
    end
    answers[#answers + 1] = fence
  else
    refused[i] = true
    answers[#answers + 1] = -i
  end
end
if fence then redis.call('SET', KEYS[1], text(fence)) end
for _, i in ipairs(keys) do
  close(i, states[i])
  if refused[i] then touch(i) end
end
local reply = {}
for _, answer in ipairs(answers) do
  if answer > 0 then
    reply[#reply + 1] = answer
  else
    local i = -answer
    local s, remaining, holder = states[i], -1, ''
    if s.foreign then
      remaining = redis.call('PTTL', KEYS[i])
      local value = redis.pcall('GET', KEYS[i])
      if type(value) == 'string' then holder = value end
    else
      local first = redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. text(now), '(1e14', 'WITHSCORES', 'LIMIT', 0, 4)
      for j = 1, #first, 2 do
        if holder == '' and (#first[j] > 1 or remaining < 0) then
          remaining = tonumber(first[j + 1]) - now
          if #first[j] > 1 then holder = first[j] end
        end
      end
    end
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4], reply[n + 5] = 0, remaining, holder, s.v, s.e
  end
end
for _, i in ipairs(keys) do
  if refused[i] or ARGV[1] == '1' then redis.call('EXISTS', KEYS[i]) end
end
return reply
`

/**
 * Lua source for scripts that change or look at holders. Their entries come in groups: each has one key, one ttl and one more word.
 *
 * KEYS: the lock of each group. ARGV: 1 if the keys are to be watched; then for each group the number of its entries, their indices (from 1, in one
 * text), the ttl, the word, and the members.
 *
 * @returns for each entry that is not ours its index, then 1 if another lock is on the key or 0 if it is no holder.
 */
const GROUPS = `${COMMON}
local exceptions = {}

-- Whether each member of the group is a holder, and whether another lock is on the key.
local function look(i, at, count)
  local members, held = { unpack(ARGV, at + 4, at + 3 + count) }, {}
  members[count + 1] = 'm'
  local kind = redis.call('TYPE', KEYS[i])['ok']
  local scores = kind == 'zset' and redis.call('ZMSCORE', KEYS[i], unpack(members)) or {}
  local foreign = kind ~= 'none' and not scores[count + 1]
  for j = 1, count do
    held[j] = not foreign and scores[j] and tonumber(scores[j]) > now
  end
  return held, foreign
end

-- Reports the entries of the group that are not ours.
local function report(i, at, held, foreign)
  local j, all = 0, true
  for index in string.gmatch(ARGV[at + 1], '%d+') do
    j = j + 1
    if not held[j] then
      all = false
      exceptions[#exceptions + 1] = tonumber(index)
      exceptions[#exceptions + 1] = foreign and 1 or 0
    end
  end
  if not all then touch(i) end
end
`

/**
 * See `GROUPS`; the word is the mode.
 *
 * Usually all entries are holders, and one `ZADD` says so: it changes members that are there, and counts them. `v` is one of them, so the set is ours.
 * (A holder that is over counts as one until somebody removes it: nobody has its place yet.) Otherwise the script looks closer. Then `PEXPIRE` comes first: a server without memory refuses only the first write of a script, and not this one.
 */
export const RENEW_JOINTS: string = `${GROUPS}
local function extend(i, ttl)
  redis.call('PEXPIRE', KEYS[i], math.max(redis.call('PTTL', KEYS[i]), tonumber(ttl)))
end

local endings, last = {}, text(version)
local at = 2
for i = 1, #KEYS do
  local count, ttl = tonumber(ARGV[at]), ARGV[at + 2]
  local ending = endings[ttl] or text(now + tonumber(ttl))
  endings[ttl] = ending
  local changes = { last, 'v' }
  for j = 1, count do
    changes[2 * j + 1], changes[2 * j + 2] = ending, ARGV[at + 3 + j]
  end
  local any = redis.pcall('ZADD', KEYS[i], 'XX', 'CH', unpack(changes)) == count + 1
  if any then
    extend(i, ttl)
  else
    local held, foreign = look(i, at, count)
    changes = { last, 'v' }
    for j = 1, count do
      if held[j] then
        changes[#changes + 1] = ending
        changes[#changes + 1] = ARGV[at + 3 + j]
      end
    end
    any = #changes > 2
    if any then
      extend(i, ttl)
      redis.call('ZADD', KEYS[i], unpack(changes))
    end
    report(i, at, held, foreign)
  end
  if any and ARGV[at + 3] == '2' and redis.call('ZSCORE', KEYS[i], 'm') == '3' then
    local s = open(i)
    s.m, s.e, s.t, s.r, s.changed = 2, micros, s.r, nil, true
    close(i, s)
  end
  if ARGV[1] == '1' then redis.call('EXISTS', KEYS[i]) end
  at = at + 4 + count
end
return exceptions
`

/** See `GROUPS`; the word is 1 if the key is to be watched. */
export const RELEASE_JOINTS: string = `${GROUPS}
local at = 2
for i = 1, #KEYS do
  local count = tonumber(ARGV[at])
  local s, held = open(i), {}
  for j = 1, count do
    local member = ARGV[at + 3 + j]
    held[j] = not s.foreign and redis.call('ZREM', KEYS[i], member) == 1
    if held[j] then s.u, s.changed = s.u - weightOf(member), true end
  end
  if s.changed then settle(s) end
  close(i, s)
  report(i, at, held, s.foreign)
  if ARGV[at + 3] == '1' then redis.call('EXISTS', KEYS[i]) end
  at = at + 4 + count
end
return exceptions
`

/** See `GROUPS`. Changes nothing. */
export const VERIFY_JOINTS: string = `${GROUPS}
local at = 2
for i = 1, #KEYS do
  local count = tonumber(ARGV[at])
  report(i, at, look(i, at, count))
  at = at + 4 + count
end
return exceptions
`
