BEGIN TRANSACTION;
CREATE TABLE catalogue_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT catalogue_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "catalogue_version" VALUES('0001');
CREATE TABLE files (
	scan_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	digest VARCHAR, 
	CONSTRAINT pk_files PRIMARY KEY (scan_id, position), 
	CONSTRAINT fk_files_scan_id FOREIGN KEY(scan_id) REFERENCES scans (id)
);
INSERT INTO "files" VALUES(1,0,'model.safetensors',90963188,'sha256:5353535353535353535353535353535353535353535353535353535353535353');
INSERT INTO "files" VALUES(2,0,'model.safetensors',90963188,'sha256:5353535353535353535353535353535353535353535353535353535353535353');
CREATE TABLE findings (
	scan_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	code VARCHAR NOT NULL, 
	severity VARCHAR NOT NULL, 
	layer TEXT, 
	message TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	CONSTRAINT pk_findings PRIMARY KEY (scan_id, position), 
	CONSTRAINT fk_findings_scan_id FOREIGN KEY(scan_id) REFERENCES scans (id)
);
INSERT INTO "findings" VALUES(1,0,'wasted-precision','info',NULL,'every value fits bfloat16: 45.4 MB of 90.9 MB hold zeros','{"bytes_saved":45430000}');
INSERT INTO "findings" VALUES(1,1,'order-under-heating','info','encoder.layer.0.attention.self.query.weight','T* = -0.0021: energy rose while entropy fell','{"transition_temperature":-0.0021}');
INSERT INTO "findings" VALUES(1,2,'decayed','warning','pooler.dense.weight','T is 0.21 of its initialisation and the entropy fell by 0.81 nats','{"entropy_change":-0.81,"ratio":0.21}');
INSERT INTO "findings" VALUES(2,0,'wasted-precision','info',NULL,'every value fits bfloat16: 45.4 MB of 90.9 MB hold zeros','{"bytes_saved":45430000}');
INSERT INTO "findings" VALUES(2,1,'order-under-heating','info','encoder.layer.0.attention.self.query.weight','T* = -0.0021: energy rose while entropy fell','{"transition_temperature":-0.0021}');
INSERT INTO "findings" VALUES(2,2,'decayed','warning','pooler.dense.weight','T is 0.21 of its initialisation and the entropy fell by 0.81 nats','{"entropy_change":-0.81,"ratio":0.21}');
CREATE TABLE layers (
	scan_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	role VARCHAR NOT NULL, 
	depth BIGINT, 
	rows BIGINT NOT NULL, 
	columns BIGINT NOT NULL, 
	dtype VARCHAR NOT NULL, 
	parameters BIGINT NOT NULL, 
	temperature DOUBLE, 
	reduced_temperature DOUBLE, 
	entropic_temperature DOUBLE, 
	entropy DOUBLE, 
	entropy_error DOUBLE, 
	"order" DOUBLE, 
	transition_temperature DOUBLE, 
	refresh_temperature DOUBLE, 
	sparsity DOUBLE, 
	bits_per_parameter DOUBLE, 
	mean DOUBLE, 
	minimum DOUBLE, 
	maximum DOUBLE, 
	kurtosis DOUBLE, 
	non_finite BIGINT NOT NULL, 
	engine_activation TEXT, 
	engine_type VARCHAR, 
	engine_heat DOUBLE, 
	engine_work DOUBLE, 
	engine_efficiency DOUBLE, 
	change_status VARCHAR, 
	change_energy_change DOUBLE, 
	change_entropy_change DOUBLE, 
	change_distance DOUBLE, 
	change_cosine DOUBLE, 
	change_kept DOUBLE, 
	change_rank BIGINT, 
	digest VARCHAR, 
	CONSTRAINT pk_layers PRIMARY KEY (scan_id, position), 
	CONSTRAINT fk_layers_scan_id FOREIGN KEY(scan_id) REFERENCES scans (id)
);
INSERT INTO "layers" VALUES(1,0,'embeddings.word_embeddings.weight','embedding',NULL,30522,384,'F32',11720448,0.00332,0.00332,0.00310174477,-1.46895671,0.000292097536,0.034,0.0011,NULL,0.0,17.8807434,0.0001,-0.345716647,0.345716647,3.1,0,NULL,NULL,NULL,NULL,NULL,'same',0.0,0.0,0.0,1.0,1.0,NULL,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,1,'embeddings.position_embeddings.weight','embedding',NULL,512,384,'F32',196608,0.00104,0.00104,0.000683328693,-2.22532875,0.00225527449,0.21,0.00061,NULL,0.0,16.7895292,0.0001,-0.193494186,0.193494186,3.1,0,NULL,NULL,NULL,NULL,NULL,'same',0.0,0.0,0.0,1.0,1.0,NULL,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,2,'encoder.layer.0.attention.self.query.weight','attention query',0,384,384,'F32',147456,0.00517972563,1.98901464,0.00509989359,-1.22032927,0.00260416667,0.00776620624,0.00155391769,0.003,0.0,18.239437,0.0001,-0.431821865,0.431821865,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.02,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,3,'encoder.layer.0.attention.self.key.weight','attention key',0,384,384,'F32',147456,0.00459701834,1.76525504,0.00442360672,-1.29146142,0.00260416667,0.0192262718,0.0013791055,0.004,0.0,18.136815,0.0001,-0.406807891,0.406807891,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.03,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,4,'encoder.layer.0.attention.self.value.weight','attention value',0,384,384,'F32',147456,0.00271062399,1.04087961,0.00261249065,-1.55478709,0.00260416667,0.0184374118,0.000813187198,0.005,0.0,17.7569164,0.0001,-0.31238192,0.31238192,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.04,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,5,'encoder.layer.0.attention.output.dense.weight','attention output',0,384,384,'F32',147456,0.00287136828,1.10260542,0.00279990465,-1.52014643,0.00260416667,0.0126016531,0.000861410483,0.006,0.0,17.8068923,0.0001,-0.321510899,0.321510899,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.05,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,6,'encoder.layer.0.intermediate.dense.weight','mlp up',0,1536,384,'F32',589824,0.00381193222,1.46378197,0.00373880651,-1.37555588,0.00130208333,0.00968487923,0.00114357966,0.007,0.0,18.0154923,0.0001,-0.370445083,0.370445083,3.1,0,'gelu','non-saturating',2248.36911,89.9347643,0.04,'changed',1.0e-05,0.002,0.06,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,7,'encoder.layer.0.output.dense.weight','mlp down',0,384,1536,'F32',589824,0.00321240896,4.93426017,0.00308374861,-1.47186614,0.00130208333,0.0204375864,0.000963722689,0.008,0.0,17.876546,0.0001,-0.340068703,0.340068703,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.07,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(1,8,'pooler.dense.weight','linear',NULL,384,384,'F32',147456,8.41145833e-05,0.0323,8.11403164e-05,-3.29072677,0.00260416667,0.018,0.000195,0.039,0.0,15.2524848,0.0001,-0.0550284018,0.0550284018,3.1,0,'tanh','non-saturating',12.4032,5.1101184,0.412,'changed',1.0e-05,0.002,0.38,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,0,'embeddings.word_embeddings.weight','embedding',NULL,30522,384,'F32',11720448,0.00332,0.00332,0.00310174477,-1.46895671,0.000292097536,0.034,0.0011,NULL,0.0,17.8807434,0.0001,-0.345716647,0.345716647,3.1,0,NULL,NULL,NULL,NULL,NULL,'same',0.0,0.0,0.0,1.0,1.0,NULL,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,1,'embeddings.position_embeddings.weight','embedding',NULL,512,384,'F32',196608,0.00104,0.00104,0.000683328693,-2.22532875,0.00225527449,0.21,0.00061,NULL,0.0,16.7895292,0.0001,-0.193494186,0.193494186,3.1,0,NULL,NULL,NULL,NULL,NULL,'same',0.0,0.0,0.0,1.0,1.0,NULL,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,2,'encoder.layer.0.attention.self.query.weight','attention query',0,384,384,'F32',147456,0.00517972563,1.98901464,0.00509989359,-1.22032927,0.00260416667,0.00776620624,0.00155391769,0.003,0.0,18.239437,0.0001,-0.431821865,0.431821865,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.02,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,3,'encoder.layer.0.attention.self.key.weight','attention key',0,384,384,'F32',147456,0.00459701834,1.76525504,0.00442360672,-1.29146142,0.00260416667,0.0192262718,0.0013791055,0.004,0.0,18.136815,0.0001,-0.406807891,0.406807891,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.03,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,4,'encoder.layer.0.attention.self.value.weight','attention value',0,384,384,'F32',147456,0.00271062399,1.04087961,0.00261249065,-1.55478709,0.00260416667,0.0184374118,0.000813187198,0.005,0.0,17.7569164,0.0001,-0.31238192,0.31238192,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.04,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,5,'encoder.layer.0.attention.output.dense.weight','attention output',0,384,384,'F32',147456,0.00287136828,1.10260542,0.00279990465,-1.52014643,0.00260416667,0.0126016531,0.000861410483,0.006,0.0,17.8068923,0.0001,-0.321510899,0.321510899,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.05,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,6,'encoder.layer.0.intermediate.dense.weight','mlp up',0,1536,384,'F32',589824,0.00381193222,1.46378197,0.00373880651,-1.37555588,0.00130208333,0.00968487923,0.00114357966,0.007,0.0,18.0154923,0.0001,-0.370445083,0.370445083,3.1,0,'gelu','non-saturating',2248.36911,89.9347643,0.04,'changed',1.0e-05,0.002,0.06,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,7,'encoder.layer.0.output.dense.weight','mlp down',0,384,1536,'F32',589824,0.00321240896,4.93426017,0.00308374861,-1.47186614,0.00130208333,0.0204375864,0.000963722689,0.008,0.0,17.876546,0.0001,-0.340068703,0.340068703,3.1,0,NULL,NULL,NULL,NULL,NULL,'changed',1.0e-05,0.002,0.07,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
INSERT INTO "layers" VALUES(2,8,'pooler.dense.weight','linear',NULL,384,384,'F32',147456,8.41145833e-05,0.0323,8.11403164e-05,-3.29072677,0.00260416667,0.018,0.000195,0.039,0.0,15.2524848,0.0001,-0.0550284018,0.0550284018,3.1,0,'tanh','non-saturating',12.4032,5.1101184,0.412,'changed',1.0e-05,0.002,0.38,0.9967,0.9989,8,'xxh3-128:99aa06d3014798d86001c324468d497f');
CREATE TABLE models (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	name_digest BLOB NOT NULL, 
	source TEXT NOT NULL, 
	CONSTRAINT pk_models PRIMARY KEY (id), 
	CONSTRAINT uq_models_name_digest UNIQUE (name_digest)
);
INSERT INTO "models" VALUES(1,'org/d800 model',X'2CB80F5BBC85A220DA5F1B2EC8258D97954BFA6302029BA4121628B1D0D365B9','/models/a');
INSERT INTO "models" VALUES(2,'org/broken',X'38E684A36ABC59E78C62A14207DA12CB4EE2FA3E8D937CBECB75F40727BD3A5E','/models/b');
CREATE TABLE revisions (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	identity TEXT NOT NULL, 
	"commit" TEXT, 
	bytes BIGINT NOT NULL, 
	parameters BIGINT NOT NULL, 
	architecture TEXT, 
	structure VARCHAR, 
	dtype TEXT, 
	dtypes TEXT NOT NULL, 
	CONSTRAINT pk_revisions PRIMARY KEY (id), 
	CONSTRAINT fk_revisions_model_id FOREIGN KEY(model_id) REFERENCES models (id), 
	CONSTRAINT uq_revisions_model_id_identity UNIQUE (model_id, identity)
);
INSERT INTO "revisions" VALUES(1,1,'commit:8b3219a92973c328a8e22fadcfa821b5dc75636a','8b3219a92973c328a8e22fadcfa821b5dc75636a',90952188,22738047,'bert','a5b93cfe8a57d46c','F32','{"F32":22738047}');
INSERT INTO "revisions" VALUES(2,2,'commit:8b3219a92973c328a8e22fadcfa821b5dc75636a','8b3219a92973c328a8e22fadcfa821b5dc75636a',90952188,22738047,'bert','a5b93cfe8a57d46c','F32','{"F32":22738047}');
CREATE TABLE scans (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	revision_id INTEGER, 
	is_last BOOLEAN NOT NULL, 
	status VARCHAR NOT NULL, 
	code VARCHAR, 
	reason TEXT, 
	"key" VARCHAR, 
	options TEXT NOT NULL, 
	scanner VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	seconds DOUBLE NOT NULL, 
	card TEXT, 
	sampled BOOLEAN NOT NULL, 
	sample_share DOUBLE, 
	temperature DOUBLE, 
	reduced_temperature DOUBLE, 
	transition_temperature DOUBLE, 
	refresh_temperature DOUBLE, 
	"order" DOUBLE, 
	work_efficiency DOUBLE, 
	engine_type VARCHAR, 
	engine_shares TEXT, 
	carnot_bound DOUBLE, 
	bits_per_parameter DOUBLE, 
	sparsity DOUBLE, 
	intervals TEXT, 
	base TEXT, 
	base_revision TEXT, 
	verdict VARCHAR, 
	energy_change DOUBLE, 
	entropy_change DOUBLE, 
	distance DOUBLE, 
	cosine DOUBLE, 
	kept DOUBLE, 
	layers BIGINT NOT NULL, 
	errors BIGINT NOT NULL, 
	warnings BIGINT NOT NULL, 
	infos BIGINT NOT NULL, 
	worst TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	CONSTRAINT pk_scans PRIMARY KEY (id), 
	CONSTRAINT fk_scans_model_id FOREIGN KEY(model_id) REFERENCES models (id), 
	CONSTRAINT fk_scans_revision_id FOREIGN KEY(revision_id) REFERENCES revisions (id)
);
INSERT INTO "scans" VALUES(1,1,1,1,'scanned',NULL,NULL,'k1','{"seed":null}','0.1.0','2026-01-02 03:04:05.678901',1.25,'cards/a/card.html',0,NULL,0.00341207,2.61530412,0.00102313,0.00476,0.0312045,0.174,'non-saturating','{"non-saturating":0.997,"saturating":0.003}',0.982,15.8123,0.0,NULL,'nreimers/MiniLM-L6-H384-uncased','3276f0fac9d818781d7a1327b3ff818fc4e643c0','fine-tune',1.0e-05,0.0021,0.0812,0.9967,0.9989,9,0,1,2,'["decayed"]','[1.9890146399999997,1.76525504,1.04087961,1.10260542,1.46378197,4.93426017,0.0323]');
INSERT INTO "scans" VALUES(2,2,2,0,'scanned',NULL,NULL,'k1','{}','0.1.0','2026-01-02 03:04:05.678901',1.25,NULL,0,NULL,0.00341207,2.61530412,0.00102313,0.00476,0.0312045,0.174,'non-saturating','{"non-saturating":0.997,"saturating":0.003}',0.982,15.8123,0.0,NULL,'nreimers/MiniLM-L6-H384-uncased','3276f0fac9d818781d7a1327b3ff818fc4e643c0','fine-tune',1.0e-05,0.0021,0.0812,0.9967,0.9989,9,0,1,2,'["decayed"]','[1.9890146399999997,1.76525504,1.04087961,1.10260542,1.46378197,4.93426017,0.0323]');
INSERT INTO "scans" VALUES(3,2,NULL,1,'refused','header-short','cut0000off','k2','{}','0.1.0','2026-01-02 03:04:05.678901',0.0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,'[]','[]');
CREATE INDEX ix_models_name ON models (name);
CREATE INDEX ix_scans_model_id ON scans (model_id);
CREATE UNIQUE INDEX uq_scans_last ON scans (model_id) WHERE is_last;
CREATE INDEX ix_findings_code ON findings (code);
COMMIT;
