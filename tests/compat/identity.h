/* tests/compat/identity.h: a certificate for servers in tests, and clients that trust it. */
#ifndef TESTS_COMPAT_IDENTITY_H
#define TESTS_COMPAT_IDENTITY_H

namespace compat
{

/* Files with a self-signed pair for localhost, 127.0.0.1 and ::1; SSL_CERT_FILE names it, so that clients
 * trust it. */
const char *cert_file();
const char *key_file();

} // namespace compat

#endif // TESTS_COMPAT_IDENTITY_H
