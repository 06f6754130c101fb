const ioredis = require('ioredis')
const leasewheel = require('leasewheel')
const memory = require('leasewheel/memory')
const quorum = require('leasewheel/quorum')
const { scenario } = require('../scenario.cjs')

scenario({ ioredis, leasewheel, memory, quorum }, process.env.REDIS_URL).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
