/** The Lua scripts that hand locks over in one step. See `scripts.ts`. */
import { nextFence, WATCH_LOCKS } from './lua-parts.ts'

/**
 * KEYS: the fence counter, then the locks. ARGV: the next token for each lock, then the present one for each, then the ttl of the next ones, one for
 * all or one for each (ms). It does what a release and an acquire behind it do, and nobody finds the key free in between.
 *
 * Each way through it writes, so that a replica answers READONLY, and begins with a write that a server without memory refuses.
 *
 * @returns as `ACQUIRE`; if a lock did not hold the present token, a third list as that of `RELEASE`.
 */
function handOverScript(finish: string, withFloor = false): string {
  return `
local count = #KEYS - 1
local uniform = #ARGV == 2 * count + ${withFloor ? 2 : 1} and ARGV[2 * count + 1]
local refused = {}
local exceptions = {}
for i = 2, #KEYS do
  local n = i - 1
  local token, ttl = ARGV[n], uniform or ARGV[2 * count + n]
  local holder = redis.pcall('GET', KEYS[i])
  if holder == ARGV[count + n] then
    redis.call('SET', KEYS[i], token, 'PX', ttl)
  else
    exceptions[#exceptions + 1] = n
    if redis.call('SET', KEYS[i], token, 'NX', 'PX', ttl) then
      exceptions[#exceptions + 1] = 0
    else
      exceptions[#exceptions + 1] = 1
      if holder == token then
        redis.call('PEXPIRE', KEYS[i], ttl)
      else
        local size = #refused
        refused[size + 1] = n
        refused[size + 2] = redis.call('PTTL', KEYS[i])
        refused[size + 3] = type(holder) == 'string' and holder or ''
      end
    end
  end
end
${nextFence(withFloor)}${finish}
if #exceptions == 0 then return { fence } end
return { fence, refused, exceptions }
`
}

export const HAND_OVER: string = handOverScript('')
/** As `HAND_OVER`, and watches the keys: see `ACQUIRE_AND_WATCH`. */
export const HAND_OVER_AND_WATCH: string = handOverScript(WATCH_LOCKS)
/** As the other two, with a floor for the fence: see `ACQUIRE_IN_CLUSTER`. */
export const HAND_OVER_IN_CLUSTER: string = handOverScript('', true)
export const HAND_OVER_AND_WATCH_IN_CLUSTER: string = handOverScript(WATCH_LOCKS, true)
