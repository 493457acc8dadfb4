// What is asked over HTTP and what is answered. Values; any thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "gateway/admin/caller.h"

namespace berth::gateway::admin {

class StreamState;

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::map<std::string, std::string> headers;
  std::string changed = {};  // for the audit log: "site,labels", names only, of a change
  bool cut = false;  // a list that ends where its request may look at no more records; counted
  std::shared_ptr<StreamState> stream = nullptr;  // events.h; its events are the body
};

struct Request {
  std::string method;                          // HEAD arrives as GET
  std::string path;                            // as it came, without scheme, authority and query
  std::map<std::string, std::string> query;    // decoded
  std::string repeated = {};                   // a parameter that it names twice; empty: none
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  Caller caller = {};
  std::map<std::string, std::string> captured = {};  // {name} of the route's pattern, decoded
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
  std::string capture(const std::string& name) const {
    const auto it = captured.find(name);
    return it == captured.end() ? std::string() : it->second;
  }
  std::string parameter(const std::string& name) const {
    const auto it = query.find(name);
    return it == query.end() ? std::string() : it->second;
  }
};

// Is the request's Content-Type exactly `type`? The only parameter that may follow is
// charset=utf-8: others are how a web page hides a type that browsers let it send.
bool has_media_type(const Request& request, const std::string& type);

std::string lower_case(std::string text);

}  // namespace berth::gateway::admin
