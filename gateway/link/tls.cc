#include "gateway/link/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <sstream>
#include <stdexcept>

namespace berth::gateway::link {
namespace {

[[noreturn]] void fail(const std::string& file) {
  char why[256] = "";
  ERR_error_string_n(ERR_get_error(), why, sizeof why);
  throw std::runtime_error("link: " + file + ": " + why);
}

}  // namespace

TlsContext::TlsContext(const TlsFiles& files)
    : context_(SSL_CTX_new(TLS_method())), peer_name_(files.peer_name) {
  if (context_ == nullptr) fail("TLS");
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context_, 0);
  if (SSL_CTX_load_verify_locations(context_, files.ca_file.c_str(), nullptr) != 1)
    fail(files.ca_file);
  if (SSL_CTX_use_certificate_chain_file(context_, files.cert_file.c_str()) != 1)
    fail(files.cert_file);
  if (SSL_CTX_use_PrivateKey_file(context_, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    fail(files.key_file);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

SSL* TlsContext::make() const {
  SSL* tls = SSL_new(context_);
  if (tls == nullptr) fail("TLS");
  std::istringstream names(peer_name_);
  for (std::string one; std::getline(names, one, ',');) SSL_add1_host(tls, one.c_str());
  return tls;
}

SSL* TlsContext::accept() const {
  SSL* tls = make();
  SSL_set_accept_state(tls);
  return tls;
}

SSL* TlsContext::connect() const {
  SSL* tls = make();
  SSL_set_connect_state(tls);
  return tls;
}

}  // namespace berth::gateway::link
