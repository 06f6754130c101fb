/** The same for machines whose clocks differ: the lock outlives the job, until the last machine has asked. */
// #region job
import { LeaseManager } from 'leasewheel'
import { writeReport } from './report.ts'

const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379')
leases.on('error', (error) => console.error(error))
try {
  const lease = await leases.tryAcquire('job:report', { ttl: 60_000, autoRenew: false })
  if (lease) {
    await writeReport(lease.signal)
    lease.detach() // not released: the key stays for the rest of its minute
  } else {
    console.log('another machine does it, or has done it')
  }
} finally {
  await leases.close()
}
// #endregion job
