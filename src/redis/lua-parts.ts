/** Lua source that scripts share. */

/** Lua source that reads the locks of a call: see `ACQUIRE_AND_WATCH`. */
export const WATCH_LOCKS = `
redis.call('EXISTS', unpack(KEYS, 2))`

/** Lua source that makes the fence of a call, unless all of its locks were refused. */
export function nextFence(withFloor: boolean): string {
  return `local fence = 0
if #refused < 3 * count then
  local time = redis.call('TIME')
  fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local last = tonumber(redis.call('GETEX', KEYS[1]) or 0) or 0${
    withFloor
      ? `
  last = math.max(last, tonumber(ARGV[#ARGV]))`
      : ''
  }
  if last >= fence then fence = last + 1 end
  redis.call('SET', KEYS[1], string.format('%.0f', fence))
end`
}
