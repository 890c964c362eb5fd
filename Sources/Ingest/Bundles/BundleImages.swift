// All that a bundle held, and the images that it makes: one folder an image, or all of it one image
// where the manifest lies at the top, as xCAT's document draws it.

import Archive

/// What was read from a bundle, by full names.
struct BundleContent {
  var entries: [String: BundleEntry] = [:]
  /// By the folder that they lie in.
  var manifests: [String: [UInt8]] = [:]
  var litefiles: [String: [UInt8]] = [:]
  var manifestMembers: [String: TarMember] = [:]
  /// By the image's folder, then by the file's name.
  var signatures: [String: [String: [UInt8]]] = [:]
  /// What was left out of members: how many say it.
  var losses: [String: Int] = [:]

  /// The images, once all has been read.
  func images() throws(BundleError) -> [BundledImage] {
    guard !manifests.isEmpty else {
      throw BundleError(
        "the bundle", "Failed to find manifest.xml file in image bundle",
        advice: "Check that the file is one that 'imgstore export' or xCAT's imgexport wrote")
    }
    guard manifests.count == 1 || manifests[""] == nil else {
      throw BundleError(
        "the bundle", "has a manifest.xml at the top and another in a folder: whose are the files?",
        advice: BundleError.distrust)
    }
    for name in entries.keys {
      var above = name
      while let cut = above.utf8.lastIndex(of: UInt8(ascii: "/")) {
        above = String(above[..<cut])
        guard let parent = entries[above] else { continue }
        guard case .directory = parent.content else {
          throw BundleError(
            "member \(name)", "lies below \(above), which is no folder",
            advice: BundleError.distrust)
        }
      }
    }
    var grouped: [String: [String: BundleEntry]] = manifests.mapValues { _ in [:] }
    var remarks = losses.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value)): left out" }
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      if manifests[""] != nil {
        grouped["", default: [:]][name] = entry
        continue
      }
      let folder = String(decoding: name.utf8.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self)
      if grouped[folder] == nil, folder.hasPrefix(".") {
        // What a desktop leaves beside the images (.DS_Store, ._NAME): xCAT passes over it, too.
        remarks.append("the bundle's \(name) lies in no image's folder and was left out")
        continue
      }
      guard grouped[folder] != nil else {
        throw BundleError(
          "member \(name)", "lies in no image's folder: there is no manifest.xml beside it",
          advice: "Nothing was imported; export the image again where it came from")
      }
      if name.utf8.count > folder.utf8.count {
        let inside = String(decoding: name.utf8.dropFirst(folder.utf8.count + 1), as: UTF8.self)
        grouped[folder, default: [:]][inside] = entry
      }
    }
    return manifests.sorted { $0.key < $1.key }.enumerated().map { index, image in
      BundledImage(
        folder: image.key, manifest: image.value, litefile: litefiles[image.key],
        entries: grouped[image.key] ?? [:], remarks: index == 0 ? remarks : [],
        manifestMember: manifestMembers[image.key], signatures: signatures[image.key] ?? [:])
    }
  }
}
