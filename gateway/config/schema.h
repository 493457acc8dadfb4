// All settings as a JSON Schema (draft 7) of config/berth.yaml, for editors and for charts: names,
// types, ranges, defaults, and how a change applies ("x-applies": reload, engine or restart). Any
// thread.
#pragma once

#include <string>

namespace berth::gateway {

std::string settings_schema();

}  // namespace berth::gateway
