/**
 * Jedis over the connections of a {@link io.switchmaster.Factory}: a drop-in for JedisSentinelPool
 * ({@link io.switchmaster.jedis.SwitchmasterPool}), and a provider for the unified client
 * ({@link io.switchmaster.jedis.SwitchmasterConnectionProvider}).
 */
package io.switchmaster.jedis;
