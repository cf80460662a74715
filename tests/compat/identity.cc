#include "tests/compat/identity.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>

namespace compat
{
namespace
{

/* Names localhost, 127.0.0.1 and ::1, signed by itself; valid until 2126. For tests only. */
const char kCert[] = "-----BEGIN CERTIFICATE-----\n"
                     "MIIBmjCCAUGgAwIBAgIUJOPqDr/S6AuaEzpF16LV56STgdAwCgYIKoZIzj0EAwIw\n"
                     "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzEyNTQyNVoYDzIxMjYxMDMw\n"
                     "MTI1NDI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
                     "PQMBBwNCAASkzcuhimbEU6YIryMfSu62vaIYGm1qWo2HLhiEuMCiNaNCFCTxsoN+\n"
                     "KcK5CIWTrLLsahA47ilXYp4GQTq8mx/ho28wbTAdBgNVHQ4EFgQUiys+OzZ6ClbI\n"
                     "jxCgLqV4jFcQ89MwHwYDVR0jBBgwFoAUiys+OzZ6ClbIjxCgLqV4jFcQ89MwDwYD\n"
                     "VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI\n"
                     "zj0EAwIDRwAwRAIgAQH8oaTVJHNmzNqL9LmRIzGVG9wYmc+719cTpI8zddICIG4/\n"
                     "vIk+x/JE/x7NcUPi14qcgcEOfSjeyhBf62uu6iFi\n"
                     "-----END CERTIFICATE-----\n";
const char kKey[] = "-----BEGIN PRIVATE KEY-----\n"
                    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/v3q9uWjiQ/4PUfp\n"
                    "TLNe/NG6DdGHlKHdoQesAy4H/wihRANCAASkzcuhimbEU6YIryMfSu62vaIYGm1q\n"
                    "Wo2HLhiEuMCiNaNCFCTxsoN+KcK5CIWTrLLsahA47ilXYp4GQTq8mx/h\n"
                    "-----END PRIVATE KEY-----\n";

std::string write_file(const char *name, const char *text)
{
    const char *dir = getenv("TEST_TMPDIR");
    std::string path = std::string(dir != nullptr ? dir : "/tmp") + "/" + name + "." +
                       std::to_string(getpid()) + ".pem";
    std::ofstream(path) << text;
    return path;
}

} // namespace

const char *cert_file()
{
    static const std::string path = [] {
        std::string at = write_file("cert", kCert);
        setenv("SSL_CERT_FILE", at.c_str(), 1);
        return at;
    }();
    return path.c_str();
}

const char *key_file()
{
    static const std::string path = write_file("key", kKey);
    return path.c_str();
}

} // namespace compat
