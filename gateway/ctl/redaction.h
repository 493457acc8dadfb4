// What may leave the gateway's operator in a support bundle. The API shows no secrets; this is the
// second look at all that goes into the archive, and the only one at names that people choose.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace berth::gateway {

class Redaction {
 public:
  // `anonymous`: names of clients, devices and accounts, and addresses become numbers. `secrets`:
  // known ones; where they stand they are replaced.
  explicit Redaction(bool anonymous, std::vector<std::string> secrets = {});

  // Log-ins in URLs, known secrets and number plates are replaced.
  std::string text(std::string s);
  // The same for each string; members whose names say that they are secret, a payload or free text
  // of people are left out.
  boost::json::value json(const boost::json::value& v);
  // Of lists about devices: names too, if that is asked for.
  boost::json::value json_of_devices(const boost::json::value& v);
  // An item of insights/refused: people type passwords where a user name belongs, so a name that is
  // no registered device's (these have a site) becomes a number always.
  boost::json::value json_of_refused(const boost::json::value& v);
  // An event of the history: only the members that say what happened.
  boost::json::object event(const boost::json::object& e);

  std::uint64_t replaced() const { return replaced_; }

 private:
  std::string number_of(const std::string& name);
  boost::json::value cleaned(const boost::json::value& v, bool names);

  bool anonymous_;
  std::vector<std::string> secrets_;
  std::map<std::string, std::uint64_t> numbers_;
  std::uint64_t replaced_ = 0;
};

}  // namespace berth::gateway
