# evp-backend: the REST API, the storage drivers and the broker's supervisor in one daemon.
find_package(CLI11 CONFIG REQUIRED)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
evp_library(evp_backend_config
  SOURCES ${CMAKE_SOURCE_DIR}/src/apps/backend_config.cc
  LIBRARIES evp_base evp_io CLI11::CLI11 PkgConfig::TOMLPLUSPLUS)
evp_test(backend_config_test
  SOURCES ${CMAKE_SOURCE_DIR}/src/apps/backend_config_test.cc
  LIBRARIES evp_backend_config)

add_executable(evp-backend ${CMAKE_SOURCE_DIR}/src/apps/evp_backend.cc ${CMAKE_SOURCE_DIR}/src/apps/backend_inputs.cc
  ${CMAKE_SOURCE_DIR}/src/apps/open_files.cc)
target_link_libraries(evp-backend PRIVATE evp_api evp_backend_config evp_log_format evp_embedded_broker evp_http_client evp_http_server)
add_dependencies(evp-backend evp_broker_plugin)
if(NOT EVP_SANITIZE)  # the sanitizers bring their own allocator; ADR 0034
  find_library(JEMALLOC jemalloc REQUIRED)
  target_link_libraries(evp-backend PRIVATE ${JEMALLOC})
endif()
install(TARGETS evp-backend RUNTIME)
