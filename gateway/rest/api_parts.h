// What the files of RegistryApi share: api.cc (routes, reading), api_changes.cc (changes of a
// record, and commits), api_whole.cc (the registry as a whole). For these only.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <string>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/api.h"
#include "gateway/rest/elsewhere.h"
#include "protocol/link/types.h"

namespace berth::gateway::registry {

inline constexpr const char* kJson = "application/json";
inline constexpr std::size_t kAtOnce = 100;  // records, between two breaths
// Somebody else has changed a record meanwhile: what is asked for is made of the new one, so often.
inline constexpr int kTries = 50;

inline const std::map<std::string, Kind> kKinds{{"sites", Kind::site},
                                                {"products", Kind::product},
                                                {"devices", Kind::device},
                                                {"accounts", Kind::account}};

inline admin::Response not_found() {
  return admin::problem(admin::codes::kNotFound, "no such record");
}

// Of what is stored, the same at every engine; changes with any of it, secrets too.
inline std::string etag(const std::string& value) {
  char text[24];
  std::snprintf(text, sizeof text, "\"%016llx\"",
                static_cast<unsigned long long>(protocol::link::hash_of(value)));
  return text;
}

inline admin::Response record(int status, const Key& key, const std::string& value) {
  return {status, kJson, to_json(key, value) + "\n", {{"ETag", etag(value)}}};
}

// Some at a time, with a breath between: `f` returns false when it has enough.
template <class F>
boost::asio::awaitable<void> RegistryApi::each(std::string prefix, std::string after, F& f) const {
  for (bool more = true; more;) {
    more = false;
    std::size_t seen = 0;
    registry_.each(prefix, after, [&](const std::string& key, const std::string& value) {
      after = key.substr(prefix.size());
      if (!f(key, value)) return false;
      more = ++seen == kAtOnce;
      return !more;
    });
    if (more) co_await breathe();
  }
}

}  // namespace berth::gateway::registry
