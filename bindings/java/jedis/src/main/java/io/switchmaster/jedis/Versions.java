package io.switchmaster.jedis;

import io.switchmaster.Factory;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import redis.clients.jedis.CommandObjects;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisProtocol;

/** What this version of Jedis has that others have not. */
final class Versions {
    /** Whether it knows of RESP3, as from 5.0 on. */
    static final boolean KNOW_PROTOCOLS = isThere("redis.clients.jedis.RedisProtocol");

    private Versions() {}

    private static boolean isThere(String name) {
        try {
            Class.forName(name, false, Versions.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException missing) {
            return false;
        }
    }

    /** What a configuration says, or null when this version cannot say it. */
    static Object get(JedisClientConfig config, String getter) {
        try {
            return JedisClientConfig.class.getMethod(getter).invoke(config);
        } catch (NoSuchMethodException missing) {
            return null;
        } catch (InvocationTargetException failed) {
            if (failed.getCause() instanceof RuntimeException) {
                throw (RuntimeException) failed.getCause();
            }
            throw new IllegalArgumentException(getter + " of the configuration failed", failed.getCause());
        } catch (IllegalAccessException impossible) {
            throw new IllegalArgumentException(getter + " of the configuration cannot be called", impossible);
        }
    }

    /** Refuses a factory whose protocol this version does not know. */
    static Factory checked(Factory factory) {
        if (factory.protocol() == 3 && !KNOW_PROTOCOLS) {
            throw new IllegalArgumentException("this version of Jedis knows no RESP3, which the factory speaks; open it"
                    + " with protocol(2), or protocol=2 in its URL");
        }
        return factory;
    }

    /**
     * Lets a Jedis read replies as RESP3 has them. It learns that only from a handshake of its own, or here, from
     * its field.
     */
    static void speakResp3(Jedis jedis) {
        try {
            Field field = Jedis.class.getDeclaredField("commandObjects");
            field.setAccessible(true);
            field.set(jedis, resp3());
        } catch (ReflectiveOperationException | RuntimeException refused) {
            throw new IllegalArgumentException("a Jedis of this version, on this virtual machine, cannot be told to"
                    + " speak RESP3; open the factory with protocol(2), or use RedisClient over a"
                    + " SwitchmasterConnectionProvider", refused);
        }
    }

    private static CommandObjects resp3() throws ReflectiveOperationException {
        try {
            return CommandObjects.class.getConstructor(RedisProtocol.class).newInstance(RedisProtocol.RESP3);
        } catch (NoSuchMethodException before8) {
            CommandObjects objects = CommandObjects.class.getConstructor().newInstance();
            Method setter = CommandObjects.class.getDeclaredMethod("setProtocol", RedisProtocol.class);
            setter.setAccessible(true);
            setter.invoke(objects, RedisProtocol.RESP3);
            return objects;
        }
    }
}
