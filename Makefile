# Targets for people and for CI. Everything that is needed beside Go and git is
# installed by the targets themselves where apt-get is there, and named where not.

export GOFLAGS := -trimpath $(GOFLAGS)
MODULES := proto libs/core libs libs/graph/msgraph services
TOOLS   := $(CURDIR)/.tools

.PHONY: dev test quick lint gen gen-check bench bench-drivers soak fuzz model build tools system

dev: ## everything in one process, with a simulated tenant and phone system
	go run ./services/offhook dev

quick: ## no network, nothing installed
	go test work

test: system lint gen-check ## everything, as CI runs it
	sh deploy/tools/test.sh

lint: tools
	go vet work
	for m in $(MODULES); do (cd $$m && GOWORK=off go vet ./...) || exit 1; done
	for m in $(MODULES); do (cd $$m && $(TOOLS)/golangci-lint run ./...) || exit 1; done

gen: tools
	PATH=$(TOOLS):$$PATH buf generate

gen-check: tools ## generated code is what the .proto files say, and they break nobody
	PATH=$(TOOLS):$$PATH buf lint
	sh deploy/tools/gen-check.sh
	sh deploy/tools/breaking-check.sh

tools: $(TOOLS)/golangci-lint $(TOOLS)/otelcol
$(TOOLS)/golangci-lint: deploy/tools/go.mod
	mkdir -p $(TOOLS)
	cd deploy/tools && GOWORK=off go build -o $(TOOLS)/ github.com/bufbuild/buf/cmd/buf \
		google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	touch $@
$(TOOLS)/otelcol: deploy/tools/otelcol/go.mod deploy/tools/otelcol/main.go
	mkdir -p $(TOOLS)
	cd deploy/tools/otelcol && GOWORK=off go build -o $@ .

system: ## a real redis-server, a real Kamailio, Prometheus, and Spin
	sh deploy/tools/system.sh

bench: ## the benchmark tables, each with its floor; and that of kills
	go run ./services/offhook bench
	table=$$(mktemp); OFFHOOK_TABLE=$$table go test -count=1 -timeout 1h ./services/e2e -run TestServicesApart/killing; \
		code=$$?; cat $$table; rm -f $$table; exit $$code

bench-drivers: ## every driver's writes of statuses beside their floor, and memory
	sh deploy/tools/bench-drivers.sh

soak: ## the long forms: 100,000 histories of 200 events, 1,000 lives at once, an outage of 10,000, eight hours without Graph, ten minutes of its refusals, a million contacts, kills under 200 changes a second
	OFFHOOK_LIVES=100000 OFFHOOK_LIFE=200 go test -count=1 -timeout 6h -v ./services/pbx-writer/writer -run 'Histories'
	for pace in 20 100; do OFFHOOK_OUTAGE=10000 OFFHOOK_PACE=$$pace go test -count=1 -timeout 1h -v ./services/pbx-writer/writer -run TestAfterAnOutage || exit 1; done
	OFFHOOK_PEOPLE=1000 OFFHOOK_LIFE=200 go test -count=1 -timeout 3h -v ./services/e2e/virtual -run TestAThousandLives
	OFFHOOK_AWAY=8 go test -count=1 -timeout 1h -v ./services/e2e/virtual -run TestGraphIsAwayForHours
	OFFHOOK_STORM=10m go test -count=1 -timeout 1h -v ./services/e2e -run TestGraphIsLeftAlone
	OFFHOOK_MAILBOXES=10000 go test -count=1 -timeout 3h -v ./services/contact-sync/contactsync -run TestManyMailboxes
	OFFHOOK_SOAK=1 go test -count=1 -timeout 3h -v ./services/e2e -run TestServicesApart

fuzz: ## every fuzz target for a minute
	sh deploy/tools/fuzz.sh

model: system ## the protocol's models, and mutants that must fail
	sh deploy/tools/model.sh

build: ## static binaries under bin/
	mkdir -p bin
	for s in services/*/main.go; do CGO_ENABLED=0 go build -ldflags='-s -w' -o bin/ ./$$(dirname $$s) || exit 1; done
