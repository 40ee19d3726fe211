package io.switchmaster;

import java.nio.ByteBuffer;

/**
 * The natives: calls of the C interface, with its numbers for factories and handles.
 *
 * <p>{@code err} is the address of a {@link Fault}, which is filled in when a call fails; a negative
 * number, 0 for a number, or null for an array says that it did. Addresses are those of direct buffers that
 * the caller keeps until the call is over. Text is UTF-8; a name or value that goes in has no NUL.
 */
final class Native {
    /** What the native library has to be at least. */
    static final int ABI = 1;

    static {
        NativeLibrary.load();
    }

    private Native() {}

    static native int abiVersion();

    static native byte[] version();

    static native int errorSize();

    static native long address(ByteBuffer direct);

    static native ByteBuffer view(long address, long length);

    static native long optionsNew(byte[] url, long err);

    static native int optionsSet(long options, byte[] name, byte[] value, long err);

    static native byte[] optionsGet(long options, byte[] name, long err);

    static native int optionsSetCredentials(long options, int forSentinels, CredentialsCall call, long err);

    static native void optionsFree(long options);

    static native long factoryOpen(long options, long err);

    static native long factoryGet(long factory, int timeoutMs, long err);

    static native long factoryGetFrom(long factory, int from, long err);

    static native long factoryGeneration(long factory, long err);

    static native long factoryWaitForGeneration(long factory, long after, int timeoutMs, long err);

    static native byte[] factoryMaster(long factory, long err);

    static native byte[] factoryTopology(long factory, long err);

    static native int factoryStats(long factory, long stats, long err);

    static native int factoryRefresh(long factory, long err);

    static native byte[] factoryNextEvent(long factory, int timeoutMs, long err);

    static native void factoryClose(long factory);

    static native long handleExchange(
            long handle, long request, int requestLength, long reply, int capacity, long err);

    static native int handleSend(long handle, byte[] data, int from, int length, long err);

    static native int handleSendDirect(long handle, long data, int length, long err);

    static native int handleReceive(long handle, byte[] into, int from, int length, long err);

    static native int handleReceiveDirect(long handle, long into, int length, long err);

    static native int handleSendWaits(long handle, int length, long err);

    static native long handleReceiveWaits(long handle, long err);

    static native int handleDescriptor(long handle);

    static native long handleGeneration(long handle);

    static native int handleProtocol(long handle);

    static native int handleIsClean(long handle);

    static native void handleRelease(long handle);

    static native long pollerOpen();

    static native int pollerArm(long poller, int descriptor, long token);

    static native int pollerWait(long poller, long tokens, int most, int timeoutMs);

    static native void pollerWake(long poller);

    static native void pollerClose(long poller);
}
