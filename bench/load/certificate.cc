#include "bench/load/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace berth::bench {

namespace {

struct Freed {
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
  void operator()(X509* c) const { X509_free(c); }
  void operator()(std::FILE* f) const { std::fclose(f); }
};

template <class F>
void write_pem(const std::string& path, F&& f) {
  const std::unique_ptr<std::FILE, Freed> out(std::fopen(path.c_str(), "we"));
  if (!out || f(out.get()) != 1) throw std::runtime_error("can't write " + path);
}

}  // namespace

void make_certificate(const std::string& certificate, const std::string& key) {
  const std::unique_ptr<EVP_PKEY, Freed> k(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, Freed> c(X509_new());
  if (!k || !c) throw std::runtime_error("no key for a certificate");
  X509_set_version(c.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(c.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(c.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(c.get()), 30L * 24 * 3600);
  X509_NAME* const name = X509_get_subject_name(c.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(c.get(), name);
  if (X509_set_pubkey(c.get(), k.get()) != 1 || X509_sign(c.get(), k.get(), EVP_sha256()) == 0)
    throw std::runtime_error("no certificate");
  write_pem(certificate, [&](std::FILE* f) { return PEM_write_X509(f, c.get()); });
  write_pem(key, [&](std::FILE* f) {
    return PEM_write_PrivateKey(f, k.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

}  // namespace berth::bench
