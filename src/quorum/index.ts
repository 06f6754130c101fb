/** leasewheel/quorum: locks on a majority of independent servers. */
export { quorum, type QuorumOptions } from './quorum.ts'
