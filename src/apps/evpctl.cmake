# evpctl: everything the REST API can do, for people and scripts.
add_executable(evpctl ${CMAKE_SOURCE_DIR}/src/apps/evpctl.cc)
target_link_libraries(evpctl PRIVATE evp_cli)
install(TARGETS evpctl RUNTIME)
