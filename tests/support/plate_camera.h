// What config/profiles/plate-camera.yaml is for.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

namespace berth::test {

inline std::string camera_profile(const std::string& tenant) {
  std::ifstream in(BERTH_SOURCE "/config/profiles/plate-camera.yaml");
  std::stringstream all;
  all << in.rdbuf();
  std::string text = all.str();
  const std::size_t at = text.find("name: example");
  return at == std::string::npos ? text : text.replace(at, 13, "name: " + tenant);
}

// 粤B12345
inline std::string camera_result(const std::string& id = "4711") {
  return R"({"id":"77","sn":"cam","name":"ivs_result","version":"1.0","timestamp":1795000001,)"
         R"("payload":{"AlarmInfoPlate":{"channel":0,"result":{"PlateResult":{"plateid":)" +
         id +
         R"(,"license":"57KkQjEyMzQ1","colorType":1,"confidence":98,"direction":3,)"
         R"("triggerType":8,"isoffline":0,"timeStamp":{"Timeval":{"sec":1795000000,"usec":5}},)"
         R"("imagePath":"oss://lot/1.jpg","plate_extra":[1,2]}}}}})";
}

}  // namespace berth::test
