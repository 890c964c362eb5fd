// Which files are read, in which order, and which are refused.

import Foundation
import Platform
import Settings
import TestSupport
import Testing

@Suite(.usesTools) struct ConfigurationFileTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func write(_ text: String, _ name: String = "config.toml") throws -> String {
    let path = directory.path(name)
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    return path
  }

  private func files(_ option: String?, _ environment: [String: String] = [:]) -> ConfigurationFiles
  {
    ConfigurationFiles(option: option, environment: environment, isStaged: false, isRoot: false)
  }

  private func failure(_ path: String) -> ConfigurationError? {
    do throws(ConfigurationError) {
      _ = try files(path).load(KernelFileSystem.shared)
      return nil
    } catch { return error }
  }

  @Test func `options and variables choose the files`() {
    func paths(
      _ option: String?, _ environment: [String: String], isStaged: Bool = false,
      isRoot: Bool = false
    ) -> [String] {
      ConfigurationFiles(
        option: option, environment: environment, isStaged: isStaged, isRoot: isRoot
      ).files.map(\.path)
    }
    let home = ["HOME": "/home/u"]
    #expect(
      paths(nil, home) == ["/etc/imgstore/config.toml", "/home/u/.config/imgstore/config.toml"])
    #expect(
      paths(nil, ["HOME": "/home/u", "XDG_CONFIG_HOME": "/x"])
        == ["/etc/imgstore/config.toml", "/x/imgstore/config.toml"])
    #expect(paths(nil, home, isRoot: true) == ["/etc/imgstore/config.toml"])
    #expect(paths(nil, home, isStaged: true) == [])
    #expect(paths(nil, ["IMGSTORE_CONFIG_DIR": "/c"], isStaged: true) == ["/c/config.toml"])
    #expect(paths(nil, ["IMGSTORE_CONFIG": "/d", "IMGSTORE_CONFIG_DIR": "/c"]) == ["/d"])
    #expect(paths("/e", ["IMGSTORE_CONFIG": "/d"], isStaged: true) == ["/e"])
  }

  @Test func `a later file replaces the values of an earlier one key by key`() throws {
    let system = directory.path("x")
    try FileManager.default.createDirectory(
      atPath: system + "/imgstore", withIntermediateDirectories: true)
    let machine = ConfigurationReader.read(
      Array(
        "store = \"/a\"\n[image.compute]\nschedule = \"never\"\n[maintain]\nverify-time = 5".utf8),
      path: "/m"
    ).configuration
    #expect(machine.store?.value == "/a")
    try "[image.\"*\"]\nschedule = \"hourly\"\n".write(
      toFile: system + "/imgstore/config.toml", atomically: false, encoding: .utf8)
    // The file of the user is the only one that exists on the machine of the test.
    let loaded = try files(nil, ["XDG_CONFIG_HOME": system]).load(KernelFileSystem.shared)
    #expect(loaded.settings(of: "compute").schedule?.value == .each(.hourly))
    #expect(loaded.files == [system + "/imgstore/config.toml"])
  }

  @Test func `an absent file is not an error unless it was named`() throws {
    let absent = directory.path("absent/config.toml")
    #expect(failure(absent)?.errorCode == .configInvalid)
    let loaded = try files(nil, ["IMGSTORE_CONFIG_DIR": directory.path("absent")])
      .load(KernelFileSystem.shared)
    #expect(loaded.files == [])
  }

  @Test func `a file that others can change is refused`() throws {
    let path = try write("store = \"/srv\"\n")
    #expect(failure(path) == nil)
    try shell("chmod 666 \"$1\"", path)
    #expect(failure(path)?.line == nil && failure(path) != nil)
    try shell("chmod 644 \"$1\"; chmod 777 \"$2\"", path, directory.path)
    #expect(failure(path) != nil, "in a directory that others can write")
    try shell("chmod 1777 \"$1\"", directory.path)
    #expect(failure(path) == nil, "in a directory such as /tmp")
    if isRoot {
      try shell("chown 12345 \"$1\"", path)
      #expect(failure(path) != nil, "of another user")
    }
  }

  @Test func `directories, devices and huge files are refused`() throws {
    #expect(failure(directory.path)?.errorCode == .configInvalid)
    #expect(failure("/dev/zero")?.errorCode == .configInvalid)
    let path = directory.path("huge")
    try shell("truncate -s 2M \"$1\"", path)
    #expect(failure(path)?.errorCode == .configInvalid)
    try shell("mkfifo \"$1\"", directory.path("fifo"))
    #expect(failure(directory.path("fifo"))?.errorCode == .configInvalid)
  }
}
