// The registry for people and platforms: REST under /api/v1/tenants and /api/v1/registry
// (docs/registry.md). JSON as registry.proto, errors as admin/problem.h. On the
// io_context's thread; passwords are hashed on another.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/admin/http_server.h"
#include "gateway/registry/feed.h"
#include "gateway/registry/guarded_registry.h"
#include "gateway/registry/import.h"
#include "gateway/registry/registry.h"
#include "gateway/rest/search.h"

namespace berth::gateway::registry {

class RegistryApi {
 public:
  struct Options {
    int iterations = 1000;             // of PBKDF2, for passwords that come in
    std::string why_not;               // not empty: nothing may be written
    GuardedRegistry* guard = nullptr;  // the feed's store; null: it doubts nothing
    std::size_t looks = Search::kLookedAtMax;  // records, of one list
  };
  RegistryApi(const Registry& registry, RegistryFeed& feed, Options options);
  void add_to(admin::HttpServer& http);

 private:
  using Answer = boost::asio::awaitable<admin::Response>;
  // "/api/v1/tenants/acme/devices/cam-1"
  struct Place {
    std::string tenant;
    Kind kind = Kind::tenant;
    std::string name;  // empty: all of the kind
    bool found = false;
    Key key() const { return {kind, tenant, name}; }
    std::string text() const { return key_of(kind, tenant, name); }
  };
  static Place place_of(const std::string& path);
  Answer on_tenants(admin::Request r);
  Answer on_registry(admin::Request r);
  admin::Response summary() const;
  Answer list(Place place, admin::Request r) const;
  admin::Response get(const Place& place) const;
  Answer put(Place place, admin::Request r);  // and PATCH
  Answer put_once(const Place& place, const admin::Request& r, bool& overtaken);
  Answer remove(Place place, admin::Request r);
  Answer remove_once(const Place& place, const admin::Request& r, bool& overtaken);
  template <class F>
  Answer until_it_fits(const admin::Request& r, F once);
  std::string confined_to(const Place& place) const;
  bool is_orphan(const std::string& key, const std::string& value) const;
  Answer import(admin::Request r);
  Answer export_all(admin::Request r) const;
  Answer accept_loss();
  Answer restore();
  // `overtaken`: somebody else has changed one of the records meanwhile; nothing is written.
  Answer commit(std::vector<Write> writes, admin::Response good, bool& overtaken);
  // What is asked for. `verify_left`: as Hashing has it.
  struct Work {
    std::vector<Said> said;
    WriteOptions options{.hashing = 1};
    std::int64_t verify_left = 0;
  };
  std::shared_ptr<Work> work_of(bool import) const;
  Answer write_import(std::shared_ptr<Work> work, std::vector<Write> writes);
  boost::asio::awaitable<void> make_anew(std::shared_ptr<Work> work, std::vector<Write>& writes);
  // `before`: what is there now; what is written expects that to be so still.
  struct Prepared {
    std::vector<Write> writes;
    std::map<std::string, std::string, std::less<>> before;
  };
  boost::asio::awaitable<Prepared> prepare(std::shared_ptr<Work> work,
                                           boost::asio::thread_pool& pool);
  boost::asio::awaitable<admin::Response> changes_of(std::size_t records, Prepared prepared);
  boost::asio::awaitable<std::vector<Write>> removal_of(Place place, bool recursive) const;
  template <class F>
  boost::asio::awaitable<void> each(std::string prefix, std::string after, F& f) const;
  boost::asio::awaitable<std::string> conflict_in(const std::vector<Write>& writes,
                                                  const std::vector<Said>* said) const;

  const Registry& registry_;
  RegistryFeed& feed_;
  Options options_;
  bool importing_ = false;
  boost::asio::thread_pool hashing_{1};
  boost::asio::thread_pool imports_{1};  // apart: one may take minutes
};

}  // namespace berth::gateway::registry
