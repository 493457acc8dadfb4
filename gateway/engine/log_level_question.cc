#include "gateway/engine/log_level_question.h"

#include <boost/json.hpp>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_levels.h"

namespace berth::gateway::engine {

void set_log_level(std::string_view question) {
  boost::system::error_code ec;
  const boost::json::value v = boost::json::parse(question, ec);
  if (ec || !v.is_object()) return;
  const boost::json::object& q = v.get_object();
  const boost::json::value* const module = q.if_contains("module");
  const boost::json::value* const level = q.if_contains("level");
  const boost::json::value* const for_ms = q.if_contains("for_ms");
  if (module == nullptr || !module->is_string() || level == nullptr || !level->is_string() ||
      for_ms == nullptr || !for_ms->is_int64())
    return;
  const base::ModuleLevel m{std::string(module->get_string()), std::string(level->get_string()),
                            for_ms->get_int64()};
  if (base::set_module_level(m, base::monotonic_ns() / base::kMs))
    BERTH_LOG(info, "log level changed module={} level={} seconds={}", m.module, m.level,
              m.left_ms / 1000);
}

}  // namespace berth::gateway::engine
