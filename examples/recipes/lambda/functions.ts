/** Functions as a platform calls them: it may freeze the process as soon as one has answered. */
import { setTimeout as sleep } from 'node:timers/promises'
// #region function
import { type DetachedLease, type Lease, LeaseManager } from 'leasewheel'

const url = process.env.REDIS_URL ?? 'redis://localhost:6379'

/** An order is shipped by one invocation. Nothing is held when it answers. */
export async function ship({ order }: { order: string }): Promise<string> {
  const leases = new LeaseManager(url, { ttl: 5_000, maxHold: 20_000 }) // the function's time limit is 30 s
  try {
    return await leases.using(`order:${order}`, (lease) => pack(order, lease), { wait: 3_000 })
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_NOT_ACQUIRED') return 'busy'
    throw error
  } finally {
    await leases.close()
  }
}
// #endregion function

// #region steps
/** The first step of two: the lock goes on to the second step, with the state. */
export async function reserve({ order }: { order: string }): Promise<DetachedLease> {
  const leases = new LeaseManager(url)
  try {
    const lease = await leases.acquire(`order:${order}`, { ttl: 60_000 }) // longer than the pause between the steps
    await pack(order, lease)
    return lease.detach()
  } finally {
    await leases.close()
  }
}

/** The second step, in this process or another. */
export async function deliver(handle: DetachedLease): Promise<number> {
  const leases = new LeaseManager(url)
  try {
    const lease = await leases.adopt(handle)
    await pack(handle.key, lease)
    return lease.fence
  } finally {
    await leases.close()
  }
}
// #endregion steps

async function pack(order: string, { signal }: Lease): Promise<string> {
  await sleep(100, undefined, { signal })
  return `packed ${order}`
}
