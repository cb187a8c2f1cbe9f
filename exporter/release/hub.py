"""A store of releases pushed to a repository of the Hugging Face hub, laid out as the hub shows models.

The repository is the store itself, with the newest model card on top, so `t3export pull --from
https://huggingface.co/ORG/NAME/resolve/main` needs nothing but HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.errors import EnvironmentProblem
from exporter.release.publish import CARD, Published
from exporter.release.release_errors import StoreUnreachable
from exporter.release.statement import INDEX_FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def push(published: Published, repository: str, private: bool = False, api: HfApi | None = None) -> str:
    """Uploads a release with the index that lists it in one commit, and tags it; gives the URL to pull from.

    The token and the endpoint are huggingface_hub's own ($HF_TOKEN, $HF_ENDPOINT). Raises EnvironmentProblem where
    huggingface_hub is missing or the hub refuses, StoreUnreachable where it does not answer.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ModuleNotFoundError:
        raise EnvironmentProblem("pushing needs huggingface_hub: `pip install 't3export[release]'`") from None
    api = api or HfApi()
    folder, release = published.folder, published.release
    files = {path.relative_to(folder.parent).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files |= {CARD: folder / CARD, INDEX_FILE: folder.parent / INDEX_FILE}
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.create_commit(repository, operations, commit_message=f"{release.name} {release.version}")
        api.create_tag(repository, tag=release.folder, exist_ok=True)
    except HfHubHTTPError as error:
        raise EnvironmentProblem(f"{repository}: the hub refuses ({error})") from None
    except (OSError, _client_error(HfHubHTTPError)) as error:
        raise StoreUnreachable(f"{repository}: the hub does not answer ({error})") from None
    return f"{api.endpoint}/{repository}/resolve/main"


def _client_error(refusal: type[Exception]) -> type[Exception]:
    """The base of all errors of the HTTP client that huggingface_hub uses, which it has changed more than once."""
    return refusal.__bases__[0]
