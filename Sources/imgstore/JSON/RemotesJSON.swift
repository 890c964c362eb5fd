// The document of the commands that list remotes.

import Images

/// The remotes of a store.
struct RemotesJSON: JSONDocument {
  let remotes: [Remote]
  static let form = JSONForm<Self>(kind: "remotes") { key in
    key("remotes", \.remotes)
  }
}
