# evp-vectors: signs published test vectors with the product's own signers.
file(GLOB vector_readers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/apps/vectors/*.cc)
find_package(Boost 1.81 REQUIRED COMPONENTS url)
add_executable(evp-vectors ${CMAKE_SOURCE_DIR}/src/apps/evp_vectors.cc ${vector_readers})
target_link_libraries(evp-vectors PRIVATE evp_auth evp_io Boost::json Boost::url)
