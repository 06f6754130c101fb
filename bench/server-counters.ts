/**
 * Reads a Redis server's own counters. Promises to count every library by one rule:
 *
 * - A renewal is one extension of one key's life that the server executed, whoever called the command: INFO
 *   commandstats counts the commands inside scripts too. While locks are only held, nothing but a renewal executes one
 *   of `RENEWING` (redlock renews with SET).
 * - A command is what a client sent. INFO's total_commands_processed cannot tell, since it includes what scripts call.
 *   So, where scripts ran, calls of `SCRIPTED` are taken for theirs; all else (EVALSHA, EVAL, PING, SCRIPT ...) comes
 *   from a client. Every library here renews by scripts only. (Not every one acquires so: traffic.ts counts otherwise.)
 */
import type { Redis } from 'ioredis'
import { sum } from './figures.ts'

export interface ServerCounters {
  /** Of the thread that executes commands, user and system, in µs. */
  readonly cpu: number
  /** Bytes that clients sent. */
  readonly received: number
  /** Calls by the command's name in lower case, those inside scripts included. */
  readonly calls: Readonly<Record<string, number>>
}

const RENEWING = ['pexpire', 'expire', 'pexpireat', 'expireat', 'set', 'psetex', 'setex', 'getex']
const SCRIPTED = [...RENEWING, 'get', 'mget', 'exists', 'del', 'unlink', 'pttl', 'ttl', 'time', 'pexpiretime', 'incr']
const RUNNING_SCRIPTS = ['eval', 'evalsha', 'eval_ro', 'evalsha_ro', 'fcall', 'fcall_ro']

export async function readServerCounters(client: Redis): Promise<ServerCounters> {
  // One at a time: `INFO cpu commandstats` needs Redis 7.
  const [cpu, stats, commandstats] = await Promise.all([
    client.info('cpu'),
    client.info('stats'),
    client.info('commandstats'),
  ])
  const calls = [...commandstats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)]
  return {
    cpu: readCpuSeconds(cpu) * 1e6,
    received: readField(stats, 'total_net_input_bytes'),
    calls: Object.fromEntries(calls.map(([, name = '', count]) => [name, Number(count)])),
  }
}

export function countersBetween(before: ServerCounters, after: ServerCounters): ServerCounters {
  const calls = Object.entries(after.calls).map(([name, count]) => [name, count - (before.calls[name] ?? 0)] as const)
  return {
    cpu: after.cpu - before.cpu,
    received: after.received - before.received,
    calls: Object.fromEntries(calls.filter(([, count]) => count > 0)),
  }
}

export function countRenewals({ calls }: ServerCounters): number {
  return sum(RENEWING.map((name) => calls[name] ?? 0))
}

/** Less the INFOs that do the counting. */
export function countCommands({ calls }: ServerCounters): number {
  const ranScripts = RUNNING_SCRIPTS.some((name) => (calls[name] ?? 0) > 0)
  const isSent = (name: string): boolean => name !== 'info' && !(ranScripts && SCRIPTED.includes(name))
  return sum(Object.entries(calls).map(([name, count]) => (isSent(name) ? count : 0)))
}

/** Only clients call these. */
export function countScriptCalls({ calls }: ServerCounters): number {
  return sum(RUNNING_SCRIPTS.map((name) => calls[name] ?? 0))
}

/** The main thread's, where the server tells it (since 6.2, not on every system): others free memory in the background. */
function readCpuSeconds(info: string): number {
  const ofMainThread = readField(info, 'used_cpu_user_main_thread') + readField(info, 'used_cpu_sys_main_thread')
  if (!Number.isNaN(ofMainThread)) return ofMainThread
  return readField(info, 'used_cpu_user') + readField(info, 'used_cpu_sys')
}

/** NaN where the server does not tell it. */
function readField(info: string, name: string): number {
  return Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
}
