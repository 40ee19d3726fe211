package io.switchmaster.jedis;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.ECPublicKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/**
 * The certificates that {@code ssl(true)} means on a virtual machine, as PEM for the native library: those of its
 * default trust store, and the key of its default key store. They are read when a pool is opened, and never
 * written to a file.
 */
final class JvmCertificates {
    private static final String HINT = "; name certificates by Factory.builder().tls(true).option(\"tls_ca\", ...),"
            + " \"tls_cert\" and \"tls_key\" instead, and open the pool with that factory";

    private static final int INTEGER = 0x02;
    private static final int OCTETS = 0x04;
    private static final int SEQUENCE = 0x30;
    private static final int PUBLIC_KEY = 0xa1;

    /** The authorities of the trust store. */
    final String authorities;

    /** The certificate that servers are shown, and those above it; null where there is none. */
    final String certificate;

    /** Its private key; null where there is none. */
    final String key;

    private JvmCertificates(String authorities, String certificate, String key) {
        this.authorities = authorities;
        this.certificate = certificate;
        this.key = key;
    }

    /**
     * Reads them.
     *
     * @throws IllegalArgumentException when they cannot be read; it says why, and what to use instead
     */
    static JvmCertificates read() {
        try {
            // Before the context, which reads the stores, too, and does not report their faults.
            KeyStore.PrivateKeyEntry own = own();
            String authorities = authorities();
            String context = SSLContext.getDefault().getProtocol();
            if (!context.equals("Default")) {
                throw refused("SSLContext.setDefault has replaced the default context by one of " + context
                        + ", whose certificates cannot be read", null);
            }
            return own == null
                    ? new JvmCertificates(authorities, null, null)
                    : new JvmCertificates(authorities, pem(Arrays.asList(own.getCertificateChain())), key(own));
        } catch (GeneralSecurityException | IOException failed) {
            Throwable reason = failed;
            while (reason.getCause() != null) {
                reason = reason.getCause();
            }
            throw refused(reason.toString(), failed);
        }
    }

    private static IllegalArgumentException refused(String why, Exception cause) {
        return new IllegalArgumentException("ssl(true) cannot be used with SwitchmasterPool: " + why + HINT, cause);
    }

    private static String authorities() throws GeneralSecurityException {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init((KeyStore) null);
        List<Certificate> trusted = new ArrayList<>();
        for (TrustManager manager : factory.getTrustManagers()) {
            if (manager instanceof X509TrustManager) {
                Collections.addAll(trusted, ((X509TrustManager) manager).getAcceptedIssuers());
            }
        }
        if (trusted.isEmpty()) {
            String store = System.getProperty("javax.net.ssl.trustStore");
            throw refused("there is no certificate in the trust store"
                    + (store == null ? " of Java" : " " + store + " (javax.net.ssl.trustStore)"), null);
        }
        return pem(trusted);
    }

    /** The one entry with a key; null where the property names no key store, or one without keys. */
    private static KeyStore.PrivateKeyEntry own() throws GeneralSecurityException, IOException {
        String file = System.getProperty("javax.net.ssl.keyStore", "");
        if (file.isEmpty()) {
            return null;
        }
        if (file.equals("NONE")) {
            throw refused("the key store (javax.net.ssl.keyStore) is no file", null);
        }
        char[] password = System.getProperty("javax.net.ssl.keyStorePassword", "").toCharArray();
        KeyStore store = KeyStore.getInstance(
                System.getProperty("javax.net.ssl.keyStoreType", KeyStore.getDefaultType()));
        try (InputStream content = Files.newInputStream(Path.of(file))) {
            store.load(content, password.length == 0 ? null : password);
        }
        List<String> names = new ArrayList<>();
        for (String name : Collections.list(store.aliases())) {
            if (store.entryInstanceOf(name, KeyStore.PrivateKeyEntry.class)) {
                names.add(name);
            }
        }
        if (names.size() > 1) {
            throw refused("the key store " + file + " (javax.net.ssl.keyStore) has several keys: " + names, null);
        }
        return names.isEmpty() ? null : (KeyStore.PrivateKeyEntry)
                store.getEntry(names.get(0), new KeyStore.PasswordProtection(password));
    }

    private static String key(KeyStore.PrivateKeyEntry own) {
        Key key = own.getPrivateKey();
        if (key.getEncoded() == null || !"PKCS#8".equals(key.getFormat())) {
            throw refused("the key in the key store (javax.net.ssl.keyStore) cannot be taken out", null);
        }
        boolean curve = key instanceof ECPrivateKey && own.getCertificate().getPublicKey() instanceof ECPublicKey;
        return pem("PRIVATE KEY", curve
                ? withPublicKey((ECPrivateKey) key, own.getCertificate().getPublicKey().getEncoded())
                : key.getEncoded());
    }

    /**
     * A key on an elliptic curve in PKCS#8, with the public key in it: optional, left out by Java, and demanded by
     * the native library.
     */
    private static byte[] withPublicKey(ECPrivateKey key, byte[] subjectPublicKeyInfo) {
        ByteBuffer info = content(ByteBuffer.wrap(subjectPublicKeyInfo));
        byte[] algorithm = element(info);
        byte[] publicKey = element(info);
        byte[] secret = new byte[(key.getParams().getOrder().bitLength() + 7) / 8];
        byte[] number = key.getS().toByteArray();
        int length = Math.min(number.length, secret.length);
        System.arraycopy(number, number.length - length, secret, secret.length - length, length);
        byte[] inner = der(SEQUENCE, der(INTEGER, new byte[] {1}), der(OCTETS, secret), der(PUBLIC_KEY, publicKey));
        return der(SEQUENCE, der(INTEGER, new byte[] {0}), algorithm, der(OCTETS, inner));
    }

    /** The content of the next element (DER). */
    private static ByteBuffer content(ByteBuffer from) {
        from.get();
        int length = from.get() & 0xff;
        if (length > 0x80) {
            int bytes = length & 0x7f;
            length = 0;
            for (int at = 0; at < bytes; at++) {
                length = length << 8 | from.get() & 0xff;
            }
        }
        ByteBuffer content = from.slice(from.position(), length);
        from.position(from.position() + length);
        return content;
    }

    /** The next element, whole. */
    private static byte[] element(ByteBuffer from) {
        int begin = from.position();
        content(from);
        byte[] element = new byte[from.position() - begin];
        from.get(begin, element);
        return element;
    }

    private static byte[] der(int tag, byte[]... parts) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            content.writeBytes(part);
        }
        ByteArrayOutputStream element = new ByteArrayOutputStream();
        element.write(tag);
        int length = content.size();
        if (length >= 0x100) {
            element.writeBytes(new byte[] {(byte) 0x82, (byte) (length >> 8)});
        } else if (length >= 0x80) {
            element.write(0x81);
        }
        element.write(length);
        element.writeBytes(content.toByteArray());
        return element.toByteArray();
    }

    private static String pem(List<Certificate> certificates) throws GeneralSecurityException {
        StringBuilder text = new StringBuilder();
        for (Certificate certificate : certificates) {
            if (certificate instanceof X509Certificate) {
                text.append(pem("CERTIFICATE", certificate.getEncoded()));
            }
        }
        return text.toString();
    }

    private static String pem(String what, byte[] content) {
        byte[] newline = {'\n'};
        return "-----BEGIN " + what + "-----\n"
                + new String(Base64.getMimeEncoder(64, newline).encode(content), StandardCharsets.US_ASCII)
                + "\n-----END " + what + "-----\n";
    }
}
